"""Strategies and fixed examples that several groups of checks use. All of them draw from constants."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["LENGTHS", "TRICKY_MESSAGES", "messages"]

LENGTHS = (0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65_535, 65_536)
"""Around the block sizes of hash functions and ciphers, the size of a page, and the width of two bytes."""

TRICKY_MESSAGES = (
    b"\x00",
    b"trailing\x00",
    b"trailing\x00\x00",
    b"\x00leading",
    b"line\r\nline",
    b"line\nline",
    b"line\r",
    b"trailing \t",
    b" leading",
    "\N{ZERO WIDTH NO-BREAK SPACE}bom".encode(),
    b"end of file\x1a",
    b"\xff\xfe\xfd",
    b"%00%s%n",
)
"""What text handling, C strings and consoles are known to change."""

messages = st.binary(max_size=300)
