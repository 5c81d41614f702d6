"""What checks results without a line of Keyclave or of the library that made them: OpenSSL and OpenSSH."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

__all__ = ["openssl", "public_pem", "ssh_keygen"]


def openssl(*arguments: object, data: bytes = b"") -> tuple[bool, str]:
    """Return whether the command succeeded, and all that it printed."""
    return _run("openssl", arguments, data)


def ssh_keygen(*arguments: object, data: bytes = b"") -> tuple[bool, str]:
    """Return whether the command succeeded, and all that it printed."""
    return _run("ssh-keygen", arguments, data)


def public_pem(path: Path, public_key: Any) -> Path:
    """Write the public key alone, as PEM, and return its path."""
    path.write_bytes(
        public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def _run(program: str, arguments: tuple[object, ...], data: bytes) -> tuple[bool, str]:
    command = [program, *map(str, arguments)]
    result = subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)
    return result.returncode == 0, (result.stdout + result.stderr).decode("utf-8", "replace")
