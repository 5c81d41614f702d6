"""ECDSA signatures encoded by hand, right and wrong."""

from __future__ import annotations


def side_by_side(size: int, r: int, s: int) -> bytes:
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def integer(value: int) -> bytes:
    """The shortest DER INTEGER, written by hand."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(content)]) + content


def sequence(*parts: bytes) -> bytes:
    content = b"".join(parts)
    return b"\x30" + bytes([len(content)]) + content


GOOD = sequence(integer(1), integer(2))
MALFORMED = {
    "empty": b"",
    "cut": GOOD[:-1],
    "trailing byte": GOOD + b"\0",
    "trailing element": sequence(integer(1), integer(2), integer(3)),
    "one number": sequence(integer(1)),
    "long form of a short length": b"\x30\x81" + GOOD[1:],
    "indefinite length": b"\x30\x80" + GOOD[2:] + b"\0\0",
    "padded r": sequence(b"\x02\x02\x00\x01", integer(2)),
    "padded s": sequence(integer(1), b"\x02\x02\x00\x02"),
    "negative r": sequence(b"\x02\x01\xff", integer(2)),
    "negative s": sequence(integer(1), b"\x02\x01\x80"),
    "number without content": sequence(b"\x02\x00", integer(2)),
    "another tag": b"\x31" + GOOD[1:],
    "bit string": sequence(b"\x03\x01\x01", integer(2)),
    "p1363": side_by_side(32, 1, 2),
}
