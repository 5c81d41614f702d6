"""The master key, from which the keys of all key files are derived."""

from __future__ import annotations

from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretBytes

__all__ = ["MasterKey"]


class MasterKey:
    """A key that only derives other keys. It shows itself in no representation and cannot be copied or pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: SecretBytes) -> None:
        self._key = key

    def derive(self, salt: bytes, context: bytes, length: int) -> SecretBytes:
        """Return ``length`` bytes of HKDF-SHA256 (RFC 5869) of the master key for this salt and context."""
        derivation = HKDF(hashes.SHA256(), length, salt, context)
        return SecretBytes(derivation.derive(self._key.get_secret_value()))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a master key cannot be copied or pickled")
