"""The MAC of a row, made as the documentation of the format says, and not by the code that wrote it.

HMAC-SHA256 under the instance key over the MessagePack array of the table's name and a map: the columns that are not
NULL, but for the MAC itself, in the order of their names. The number of a chain of the audit log has the name that
its column had when there was one chain.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

__all__ = ["Value", "mac_of"]

Value = int | str | bytes | None


def mac_of(key: bytes, table: str, row: Mapping[str, Value]) -> bytes:
    """Return the MAC that a row must have."""
    names = {"chain": "singleton"} if table == "audit_head" else {}
    named = {names.get(name, name): value for name, value in row.items() if name != "mac" and value is not None}
    columns = dict(sorted(named.items()))
    body = b"".join(_pack(name) + _pack(value) for name, value in columns.items())
    size = bytes([0x80 | len(columns)]) if len(columns) < 16 else b"\xde" + len(columns).to_bytes(2, "big")
    return hmac.digest(key, b"\x92" + _pack(table) + size + body, hashlib.sha256)


def _pack(value: Value) -> bytes:
    """Return the shortest MessagePack form of a text, of bytes or of an integer."""
    if isinstance(value, str):
        text = value.encode()
        if len(text) < 32:
            return bytes([0xA0 | len(text)]) + text
        return _sized(0xD9, text)
    if isinstance(value, bytes):
        return _sized(0xC4, value)
    assert isinstance(value, int)
    return _pack_integer(value)


def _sized(kind: int, content: bytes) -> bytes:
    """Return content after its kind and length; the kinds with lengths of 1, 2 and 4 bytes follow each other."""
    for step, width in enumerate((1, 2, 4)):
        if len(content) < 1 << 8 * width:
            return bytes([kind + step]) + len(content).to_bytes(width, "big") + content
    raise AssertionError("no column is that long")


def _pack_integer(value: int) -> bytes:
    if -32 <= value < 128:
        return value.to_bytes(1, "big", signed=value < 0)
    kind = 0xD0 if value < 0 else 0xCC
    for step, width in enumerate((1, 2, 4, 8)):
        bits = 8 * width
        if (-(1 << bits - 1) <= value) if value < 0 else (value < 1 << bits):
            return bytes([kind + step]) + value.to_bytes(width, "big", signed=value < 0)
    raise AssertionError("no column is that large")
