"""The backends that the contract is run against here, how each is made ready, and what it is known to earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.contract import aws
from tests.services import nss, p11_kit, softhsm
from tests.services.catalog import not_root
from tests.services.tokens import Token

__all__ = ["BACKENDS", "Backend"]

Ready = tuple[Mapping[str, str], Mapping[str, str]]
"""The settings of the plugin, and the environment variables."""


@dataclass(frozen=True)
class Backend:
    """One backend.

    Attributes:
        plugin: its entry point.
        prepare: makes it ready in a scratch directory.
        levels: what it earns at the standard budget, and what it does not.
        services: the services of tests/services that it needs.
        run_by: what the command begins with.
        same_as: the backend whose checks must end as those of this one do.
        running: what runs meanwhile; yields further settings.
        deviations: the file of what an emulator does wrong, beside this one.
        budget: how much may be spent, unless the command says so.
    """

    plugin: str
    prepare: Callable[[Path], Ready]
    levels: Mapping[str, bool]
    services: tuple[str, ...] = ()
    run_by: tuple[str, ...] = ()
    same_as: str | None = None
    running: Callable[[], AbstractContextManager[Mapping[str, str]]] = lambda: nullcontext({})
    deviations: str | None = None
    budget: str = "standard"


def _software(scratch: Path) -> Ready:
    return {"keystore": str(scratch / "keys")}, {}


def _softhsm(scratch: Path) -> Ready:
    return _reached(softhsm.make_tokens(scratch, "contract")["contract"])


def _nss(scratch: Path) -> Ready:
    return _reached(nss.make_token(scratch))


def _nss_behind_p11_kit(scratch: Path) -> Ready:
    return _reached(p11_kit.make_token(scratch))


def _aws(scratch: Path) -> Ready:
    return aws.settings(scratch), {}


def _reached(token: Token) -> Ready:
    settings = {"module": str(token.module), "token": token.label, "pin_file": str(token.pin_file)}
    if token.parameters is not None:
        settings["module_parameters"] = token.parameters
    return settings, token.environment


_ALL = ("Core", "Sign", "Encrypt", "Wrap", "Rotate", "Durable", "Parallel")
_SOFTWARE = {**dict.fromkeys(_ALL, True), "Hardware": False}
_NSS = {**_SOFTWARE, "Encrypt": False, "Wrap": False}


# The longest first: two run at a time.
BACKENDS: Mapping[str, Backend] = {
    "aws": Backend("aws", _aws, _SOFTWARE, running=aws.own_kms),
    "software": Backend("software", _software, _SOFTWARE),
    "softhsm": Backend("pkcs11-hsm", _softhsm, _SOFTWARE, services=("softhsm",)),
    "nss": Backend("pkcs11-hsm", _nss, _NSS, services=("nss",)),
    "nss-by-p11-kit": Backend(
        "pkcs11-hsm", _nss_behind_p11_kit, _NSS, services=("nss", "p11-kit"), run_by=not_root(), same_as="nss"
    ),
    "aws-ministack": Backend(
        "aws",
        _aws,
        dict.fromkeys(_SOFTWARE, False),
        services=("ministack",),
        running=aws.emulator,
        deviations="ministack.toml",
        budget="smoke",
    ),
}
