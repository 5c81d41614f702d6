"""Wait until AWS KMS knows everywhere what it was told a moment ago: it is eventually consistent, for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from keyclave.errors import KeyNotFound

__all__ = ["settled"]

T = TypeVar("T")
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


def settled(call: Callable[[], T], *, in_vain: Callable[[], bool] = lambda: False) -> T:
    """Return what a call about a key that was just made returns, once the key is known there.

    Args:
        call: the call.
        in_vain: whether waiting is of no use, since somebody has destroyed the key meanwhile.

    Raises:
        KeyNotFound: it is not known after three seconds either.
    """
    for pause in _PAUSES:
        try:
            return call()
        except KeyNotFound:
            if in_vain():
                raise
            time.sleep(pause)
    return call()
