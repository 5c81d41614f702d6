"""Keys of somebody else in the directory of the test plugin ``acme-foreign``."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["URI", "foreign_settings", "make_foreign_key"]

URI = "acme-foreign:theirs"


def foreign_settings(directory: Path, **settings: str) -> str:
    """Return the lines of settings that add the directory as the backend ``shared``."""
    directory.mkdir(exist_ok=True)
    lines = {"plugin": "acme-foreign", "keys": str(directory), **settings}
    return "[backends.shared]\n" + "".join(f'{name} = "{value}"\n' for name, value in lines.items())


def make_foreign_key(directory: Path, name: str = "theirs") -> bytes:
    """Put a key into the directory, and return its file's content."""
    directory.mkdir(exist_ok=True)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / f"{name}.pem").write_bytes(pem)
    return pem
