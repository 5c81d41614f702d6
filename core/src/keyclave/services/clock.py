"""Whether the clock may decide that a key is destroyed, and from when on it is kept.

A clock that jumps could end every retention at once. So it is compared with the time that was trusted last, and
where that does not fit, nothing is destroyed by its age until an operator says that the clock is right.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from keyclave.state.store import Transaction

__all__ = ["kept_from", "why_not_trusted"]

_BACK = timedelta(minutes=5)
"""Clocks of machines that share a state differ, and are set back a little now and then."""
_AHEAD = timedelta(days=30)
"""Nothing may have looked for so long, and less than the shortest retention."""


def kept_from(state: Transaction, *known: datetime) -> datetime:
    """Return when a promise to keep something begins: now, but not before the time that was trusted last.

    A promise that begins while the clock is behind would be over as soon as the clock is right again.

    Args:
        state: the transaction.
        known: the time of the clock, and others that have passed for certain.
    """
    witnessed = state.clock.witnessed()
    return max(known if witnessed is None else (*known, witnessed))


def why_not_trusted(witnessed: datetime | None, now: datetime) -> str | None:
    """Return why this time is not trusted, or ``None`` if it is.

    Args:
        witnessed: the time that was trusted last; ``None`` for none yet.
        now: the time of the clock.
    """
    if witnessed is None:
        return "the clock is looked at for the first time; the next run compares it"
    if now < witnessed - _BACK:
        moved = "back"
    elif now > witnessed + _AHEAD:
        moved = "ahead"
    else:
        return None
    return (
        f"the clock went {moved} from {witnessed:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC; if it is right, run"
        " `keyclave keys confirm-clock`"
    )
