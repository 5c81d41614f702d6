"""Whether what several threads saw of one key could have happened one call after the other.

Each call took effect at one moment between its start and its end, or, if nobody knows whether it took effect, at any
moment after its start or never. The search is that of Wing and Gong (1993), with the states that were seen before
left out; histories of different keys are judged apart, since linearizability is local (Herlihy and Wing, 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from keyclave.plugin import Record

__all__ = ["Event", "linearizable"]

Kind = Literal["create", "find", "destroy"]
_ABSENT, _SOME = "", "a key that nobody saw"


class Event(Record, frozen=True, kw_only=True):
    """One call and what came of it.

    Attributes:
        kind: what was called.
        start: when, by a clock that never goes back.
        end: when it returned.
        saw: the address of the key that it concerned, and for one that was made also its public key, after a space;
            empty where it found that there is none.
        known: whether it is known that it took effect.
    """

    kind: Kind
    start: float
    end: float
    saw: str = _ABSENT
    known: bool = True


def linearizable(history: Sequence[Event]) -> bool:
    """Return whether there is an order of the calls on one key that explains all results; at first there is none.

    Examples:
        >>> made = Event(kind="create", start=0, end=1, saw="a")
        >>> linearizable([made, Event(kind="find", start=2, end=3)])
        False
        >>> linearizable([made, Event(kind="find", start=0.5, end=3)])
        True
    """
    everything = frozenset(range(len(history)))
    pending, seen = [(everything, _ABSENT)], set()
    while pending:
        left, state = pending.pop()
        if not any(history[place].known for place in left):
            return True
        if (left, state) in seen:
            continue
        seen.add((left, state))
        first_end = min(history[place].end for place in left if history[place].known)
        for place in left:
            if history[place].start <= first_end:
                pending += ((left - {place}, after) for after in _effects(history[place], state))
    return False


def _effects(event: Event, state: str) -> tuple[str, ...]:
    """Return the states that the key can be in after the call, none where the call cannot have seen what it saw."""
    if not event.known:
        return state, (state or _SOME) if event.kind == "create" else _ABSENT
    if state == _ABSENT:
        return {"create": (event.saw,), "destroy": (_ABSENT,), "find": () if event.saw else (_ABSENT,)}[event.kind]
    same = state == _SOME or _address(event.saw) == _address(state)
    match event.kind:
        case "create":
            return (event.saw,) if state in {_SOME, event.saw} else ()
        case "destroy":
            return (_ABSENT,) if same else (state,)
    return (state,) if event.saw and same else ()


def _address(saw: str) -> str:
    return saw.partition(" ")[0]
