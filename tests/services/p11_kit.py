"""The token of NSS behind p11-kit's proxy, which gives NSS its parameters from a configuration of the tests' own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.services import nss
from tests.services.catalog import library
from tests.services.tokens import Token

__all__ = ["make_token"]


def make_token(directory: Path) -> Token:
    """Make a token of NSS below ``directory``, and return it as a process finds it that is not root's.

    `tests.services.catalog.not_root` says how to start one.
    """
    behind, proxy = nss.make_token(directory), library("p11-kit")
    assert proxy is not None
    configuration = directory / "configuration/pkcs11"
    modules = configuration / "modules"
    modules.mkdir(parents=True)
    (configuration / "pkcs11.conf").write_text("user-config: only\n")
    (modules / "nss.module").write_text(f"module: {behind.module}\nx-init-reserved: {behind.parameters}\n")
    environment = {"XDG_CONFIG_HOME": str(configuration.parent)}
    return replace(behind, module=proxy, parameters=None, environment=environment)
