"""A scratch PKCS#11 token: what a program needs to reach it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PIN", "Token", "write_private"]

PIN = "817263"


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        module: the shared library that has it.
        label: its label.
        pin_file: a file of mode 0600 with the user PIN.
        parameters: what the module must be given when it is initialised.
        environment: variables that a program needs before it loads the module.
    """

    module: Path
    label: str
    pin_file: Path
    parameters: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def write_private(path: Path, content: str) -> Path:
    """Write a file of mode 0600, and return its path."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    return path
