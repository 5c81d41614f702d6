"""Settings of an instance with software and with two tokens that stand for HSMs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pkcs11_tests.backends import settings_of

from tests.services.tokens import Token

__all__ = ["table", "with_tokens"]


def with_tokens(directory: Path, tokens: Mapping[str, Token]) -> Path:
    """Write the settings of backends ``software``, ``hsm`` and ``vault``, and return their file."""
    config = directory / "keyclave.toml"
    config.write_text(
        f"[state]\ndirectory = {json.dumps(str(directory / 'state'))}\n"
        '[environment]\ntype = "local"\n[backends.software]\nplugin = "software"\n'
        + table("hsm", tokens["main"], accept_simulator=True)
        + table("vault", tokens["other"], accept_simulator=True)
    )
    return config


def table(backend_id: str, token: Token, **more: Any) -> str:
    """Return the settings of a backend on a token."""
    settings = {key: value for key, value in settings_of(token).items() if value is not None} | more
    settings["allowed_modules"] = list(map(str, settings["allowed_modules"]))
    lines = (
        f"{key} = {json.dumps(value if isinstance(value, list | bool) else str(value))}\n"
        for key, value in settings.items()
    )
    return f'[backends.{backend_id}]\nplugin = "pkcs11-hsm"\n{"".join(lines)}'
