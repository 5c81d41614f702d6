"""Secrets to look for, in every form that they could leak in, and where an error could carry them."""

from __future__ import annotations

import base64
import contextlib
import pickle
import traceback
from collections.abc import Iterator
from types import TracebackType

__all__ = ["forms_of", "places_of"]

_SHORTEST = 8


def forms_of(secret: bytes) -> set[str]:
    """Return the secret as text, and in the encodings that somebody could print it in."""
    forms = {
        secret.decode("latin-1"),
        repr(secret)[2:-1],
        secret.hex(),
        secret.hex().upper(),
        secret.hex(" "),
        secret.hex(":"),
        str(int.from_bytes(secret, "big")),
        str(list(secret))[1:-1],
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.b85encode):
        # In a longer text the secret starts at any of the places of a group; its first and last group may differ.
        for shift in range(4):
            forms.add(encode(bytes(shift) + secret).decode()[8:-8])
    return {form for form in forms if len(form) >= _SHORTEST}


def places_of(error: BaseException) -> Iterator[str]:
    """Yield every text that the error, what led to it, and the frames it passed can show."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        todo += [current.__cause__, current.__context__]
        yield from _texts(current)


def _texts(error: BaseException) -> Iterator[str]:
    yield str(error)
    yield repr(error)
    yield repr(error.args)
    yield repr(vars(error))
    through = _beyond_tests(error.__traceback__)
    shown = traceback.TracebackException(type(error), error, through, capture_locals=True)
    yield "".join(shown.format(chain=False))
    with contextlib.suppress(Exception):
        yield pickle.dumps(error).decode("latin-1")
    for frame, _ in traceback.walk_tb(through):
        yield from (_raw(value) for value in frame.f_locals.values())


def _beyond_tests(place: TracebackType | None) -> TracebackType | None:
    """Skip the frames of the tests, which know the secrets."""
    while place is not None and "/tests/" in place.tb_frame.f_code.co_filename:
        place = place.tb_next
    return place


def _raw(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("latin-1")
    return repr(value)
