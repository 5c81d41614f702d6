"""What callers hand to a backend, refused or made into bytes before anything is sent."""

from __future__ import annotations

from keyclave.errors import InvalidArgument

__all__ = ["to_bytes"]


def to_bytes(data: object, what: str = "data") -> bytes:
    """Return bytes, a bytearray or a memoryview as bytes.

    Raises:
        InvalidArgument: it is something else, such as text, whose encoding would be a guess.

    >>> to_bytes(bytearray(b"abc"))
    b'abc'
    """
    if isinstance(data, bytes | bytearray | memoryview):
        try:
            return bytes(data)
        except ValueError:  # a memoryview that was released
            pass
    raise InvalidArgument(
        f"{what} must be bytes, not {type(data).__name__}", next_step="Encode text first: text.encode()."
    )
