"""Settings of an instance with AWS KMS, as an emulator has it, and with a token of SoftHSM."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.services.tokens import Token

__all__ = ["with_token"]


def with_token(directory: Path, ministack: str, secret_file: Path, token: Token) -> Path:
    """Write the settings of backends ``cloud`` and ``hsm``, and return their file."""
    # For each test again: those of other packages, in the same process, have tokens of their own.
    os.environ.update(token.environment)
    config = directory / "keyclave.toml"
    config.write_text(
        f"[state]\ndirectory = {json.dumps(str(directory / 'state'))}\n[environment]\ntype = 'local'\n"
        f"[backends.cloud]\nplugin = 'aws'\nregion = 'us-east-1'\nendpoint = '{ministack}'\naccept_simulator = true\n"
        f"credentials = 'static'\naccess_key_id = 'AKIDTEST'\nsecret_access_key_file = '{secret_file}'\n"
        f"[backends.hsm]\nplugin = 'pkcs11-hsm'\nmodule = '{token.module}'\ntoken = '{token.label}'\n"
        f"pin_file = '{token.pin_file}'\n"
    )
    return config
