"""Histories that can have happened one call after the other, and histories that cannot."""

from __future__ import annotations

import pytest
from keyclave_contract_tests.histories import Answer, Event, has_an_order

A, B = b"one key", b"another key"
MADE, MAYBE, FOUND, ABSENT, DESTROYED = Answer.MADE, Answer.MAYBE, Answer.FOUND, Answer.ABSENT, Answer.DESTROYED


def event(started: float, ended: float, answer: Answer, key: bytes = b"") -> Event:
    return Event(started=started, ended=ended, answer=answer, key=key)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event(0, 1, ABSENT), event(2, 3, MADE, A), event(4, 5, FOUND), event(6, 7, DESTROYED, A)],
        [event(0, 1, MADE, A), event(2, 3, MADE, A)],
        [event(0, 9, MADE, A), event(1, 2, ABSENT), event(3, 4, FOUND)],
        [event(0, 1, MADE, A), event(2, 9, DESTROYED, A), event(3, 4, FOUND), event(5, 6, ABSENT)],
        [event(0, 1, MADE, A), event(2, 3, DESTROYED, A), event(4, 5, MADE, B)],
        [event(0, 1, MAYBE), event(2, 3, FOUND)],
        [event(0, 1, MAYBE), event(2, 3, ABSENT)],
        [event(0, 1, MAYBE), event(2, 3, MADE, A)],
        [
            event(0, 1, MADE, A),
            event(2, 3, DESTROYED, A),
            event(4, 5, MADE, B),
            event(6, 7, DESTROYED, A),
            event(8, 9, FOUND),
        ],
    ],
)
def test_these_have_an_order(events: list[Event]) -> None:
    assert has_an_order(events)


@pytest.mark.parametrize(
    "events",
    [
        [event(0, 1, FOUND)],
        [event(0, 1, MADE, A), event(2, 3, ABSENT)],
        [event(0, 1, MADE, A), event(2, 3, MADE, B)],
        [event(0, 9, MADE, A), event(0, 9, MADE, B)],
        [event(0, 1, MADE, A), event(2, 3, DESTROYED, A), event(4, 5, FOUND)],
        [event(0, 9, MADE, A), event(1, 2, FOUND), event(3, 4, ABSENT)],
        [event(0, 1, DESTROYED, A), event(2, 3, MAYBE), event(4, 5, FOUND), event(6, 7, ABSENT)],
    ],
)
def test_these_have_none(events: list[Event]) -> None:
    assert not has_an_order(events)


def test_the_order_of_the_list_does_not_matter() -> None:
    events = [event(2, 3, FOUND), event(0, 1, MADE, A)]
    assert has_an_order(events)
