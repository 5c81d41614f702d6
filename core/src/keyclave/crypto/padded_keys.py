"""PKCS#8 private keys as SoftHSM before 2.7 wraps them: with zeros after the end.

It fills the encoding up to a multiple of eight bytes before AES-KWP, which would do that by itself, and unwrapping
gives the filled encoding back. `cryptography` refuses bytes after the end of an encoding, as it should.
"""

from __future__ import annotations

from pydantic import SecretBytes

__all__ = ["without_padding"]

_SEQUENCE = 0x30
_LONG = 0x80
_BLOCK = 8


def without_padding(pkcs8: SecretBytes) -> SecretBytes:
    """Return the encoding without up to seven zeros after its end; anything else is returned as it is."""
    encoded = pkcs8.get_secret_value()
    end = _end(encoded)
    padding = encoded[end:]
    if len(encoded) % _BLOCK or not 0 < len(padding) < _BLOCK or any(padding):
        return pkcs8
    return SecretBytes(encoded[:end])


def _end(encoded: bytes) -> int:
    """Return where the DER SEQUENCE ends that begins here (X.690, section 8.1.3); for no SEQUENCE, the end of all."""
    if len(encoded) < 2 or encoded[0] != _SEQUENCE:  # noqa: PLR2004  a tag and a length
        return len(encoded)
    if encoded[1] < _LONG:
        return 2 + encoded[1]
    start = 2 + encoded[1] - _LONG
    return start + int.from_bytes(encoded[2:start], "big")
