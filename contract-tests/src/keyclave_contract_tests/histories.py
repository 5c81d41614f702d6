"""Whether what several threads saw of one label can have happened in some order, one call after the other.

Linearizability, after Wing and Gong, "Testing and Verifying Concurrent Objects" (1993): a search for an order of the
calls that agrees with real time and in which every answer is right. Histories are short: the search is exponential.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from keyclave.plugin import Record

__all__ = ["Answer", "Event", "has_an_order"]

_Place = bytes | None
"""What is under the label: what a key is told by, `_SOME` for a key that nobody saw, ``None`` for nothing."""
_SOME = b"a key that nobody saw"


class Answer(StrEnum):
    """What a call answered.

    Attributes:
        MADE: the call that creates returned a key.
        MAYBE: it raised, after it made a key or without.
        FOUND: the call that finds returned a key.
        ABSENT: it found none.
        DESTROYED: the call that destroys returned.
    """

    MADE = "created"
    MAYBE = "create refused"
    FOUND = "found"
    ABSENT = "not found"
    DESTROYED = "destroyed"


class Event(Record, frozen=True, kw_only=True):
    """One call.

    Attributes:
        started: when it was made.
        ended: when it answered, by the same clock.
        answer: what it answered.
        key: what the key that was made or destroyed is told by, such as its public key; empty for other calls.
    """

    started: float
    ended: float
    answer: Answer
    key: bytes = b""


def has_an_order(events: Sequence[Event]) -> bool:
    """Return whether the events can have happened one after the other, with nothing under the label at first."""
    seen: set[tuple[frozenset[int], _Place]] = set()

    def search(left: frozenset[int], place: _Place) -> bool:
        if not left:
            return True
        if (left, place) in seen:
            return False
        seen.add((left, place))
        first_end = min(events[number].ended for number in left)
        return any(
            search(left - {number}, after)
            for number in sorted(left)
            if events[number].started <= first_end
            for after in _after(place, events[number])
        )

    return search(frozenset(range(len(events))), None)


def _after(place: _Place, event: Event) -> tuple[_Place, ...]:
    """Return what can be under the label once the event happened; nothing at all if it cannot happen now."""
    match event.answer:
        case Answer.MADE:
            return (event.key,) if place in (None, _SOME, event.key) else ()
        case Answer.MAYBE:
            return (None, _SOME) if place is None else (place,)
        case Answer.FOUND:
            return () if place is None else (place,)
        case Answer.ABSENT:
            return (None,) if place is None else ()
        case Answer.DESTROYED if place in (None, event.key):
            return (None,)
        case Answer.DESTROYED:  # by the address of an older key, which may or may not be that of this one
            return None, place
