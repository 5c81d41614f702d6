"""A token of NSS softokn for the tests alone: a certificate database of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.services.catalog import library, program
from tests.services.tokens import PIN, Token, write_private

__all__ = ["LABEL", "make_token"]

LABEL = "NSS Certificate DB"
"""Softokn gives every token this label."""


def make_token(directory: Path) -> Token:
    """Make a database below ``directory``, and return its token."""
    database = directory / "database"
    database.mkdir(mode=0o700)
    pin_file = write_private(directory / "pin", PIN + "\n")
    tool, module = program("nss", "certutil"), library("nss")
    assert tool is not None
    assert module is not None
    subprocess.run(
        [tool, "-N", "-d", f"sql:{database}", "-f", pin_file],
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    parameters = f"configDir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    return Token(module, LABEL, pin_file, parameters=parameters)
