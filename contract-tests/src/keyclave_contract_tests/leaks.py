"""Look for a secret in what must not hold it, in every form that programs are known to write bytes in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

__all__ = ["SHORTEST", "leaked", "leaked_as_number"]

SHORTEST = 6
"""Fewer bytes than this appear by chance, in one form or another."""
_HALVED = 24
"""From so many bytes on, either half of a secret counts as the secret: texts are cut, and dumps are broken up."""
_NUMBER = 1024
"""More bytes than this are no number that anybody writes in decimal, and Python refuses to."""
_GROUP, _QUINTET = 3, 5
"""How many bytes base64 and base32 encode at a time."""


def leaked(secret: bytes, found: bytes | str) -> str | None:
    """Return the form in which a text or content holds a secret, in words, or ``None`` if it does not."""
    return _held(_forms(secret), found)


def leaked_as_number(encoded: bytes, found: bytes | str) -> str | None:
    """Return the form in which a text holds a whole encoding as one number, in words, or ``None`` if it does not.

    In every other form a secret is seen within an encoding that also holds what everybody may know.
    """
    return _held(_numbers(encoded), found)


def _held(forms: Iterable[tuple[str, bytes]], found: bytes | str) -> str | None:
    haystack = found.encode(errors="surrogatepass") if isinstance(found, str) else found
    views = (
        haystack,
        haystack.lower(),
        b"".join(haystack.split()),
        haystack.replace(rb"\n", b""),
        haystack.replace(rb"\\", b"\\"),  # what was escaped already is shown by `repr` with two for each
    )
    for form, needle in forms:
        if any(needle in view for view in views):
            return form
    return None


def _forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Return the forms of a secret that is long enough to be told from chance."""
    if len(secret) < SHORTEST:
        raise ValueError("the secret is too short to be looked for")
    half = len(secret) // 2
    parts = (secret,) if len(secret) < _HALVED else (secret[:half], secret[half:])
    for part in parts:
        yield from _of(part)
        for form, needle in _of(part[::-1]):
            yield f"{form}, reversed", needle
    yield from _numbers(secret)


def _numbers(secret: bytes) -> Iterator[tuple[str, bytes]]:
    if len(secret) <= _NUMBER:
        yield "as a decimal number", str(int.from_bytes(secret, "big")).encode()
        yield "as a decimal number, reversed", str(int.from_bytes(secret, "little")).encode()


def _of(part: bytes) -> Iterator[tuple[str, bytes]]:
    yield "as it is", part
    yield "escaped", repr(part)[2:-1].encode()
    yield "as text", part.decode("latin-1").encode()
    yield "escaped as in JSON", json.dumps(part.decode("latin-1"))[1:-1].encode()
    yield "in hexadecimal", part.hex().encode()
    yield "in hexadecimal with colons", part.hex(":").encode()
    yield "as a list of numbers", ",".join(map(str, part)).encode()
    for offset in range(_GROUP):
        # The first and last group of three bytes may hold neighbours of the secret, and are left out.
        aligned = part[offset : offset + (len(part) - offset) // _GROUP * _GROUP]
        if len(aligned) >= SHORTEST:
            yield "in base64", base64.b64encode(aligned)
            yield "in base64 for URLs", base64.urlsafe_b64encode(aligned)
    for offset in range(_QUINTET):
        aligned = part[offset : offset + (len(part) - offset) // _QUINTET * _QUINTET]
        if len(aligned) >= SHORTEST:
            yield "in base32", base64.b32encode(aligned)
