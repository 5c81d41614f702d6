"""Histories that some order of calls explains, and others."""

from __future__ import annotations

import pytest
from keyclave_contract_tests.linearizable import Event, linearizable

MADE = Event(kind="create", start=0, end=1, saw="k1 aa")
FOUND = Event(kind="find", start=2, end=3, saw="k1")
MISSED = Event(kind="find", start=2, end=3)
DESTROYED = Event(kind="destroy", start=4, end=5, saw="k1")

RIGHT = {
    "nothing": [],
    "found after it was made": [MADE, FOUND],
    "missed while it was made": [Event(kind="create", start=0, end=9, saw="k1 aa"), MISSED],
    "made twice, the same": [MADE, Event(kind="create", start=2, end=3, saw="k1 aa")],
    "made, destroyed, made anew": [MADE, DESTROYED, Event(kind="create", start=6, end=7, saw="k1 bb")],
    "missed while it was destroyed": [MADE, DESTROYED, Event(kind="find", start=4.5, end=6)],
    "found while it was destroyed": [MADE, DESTROYED, Event(kind="find", start=4.5, end=6, saw="k1")],
    "found after nobody knows": [Event(kind="create", start=0, end=1, known=False), FOUND],
    "missed after nobody knows": [Event(kind="create", start=0, end=1, known=False), MISSED],
    "an unknown destruction that came late": [
        MADE,
        Event(kind="destroy", start=1.5, end=1.6, saw="k1", known=False),
        FOUND,
        Event(kind="find", start=6, end=7),
    ],
    "destroying another one": [MADE, Event(kind="destroy", start=1.5, end=1.6, saw="k0"), FOUND],
}
WRONG = {
    "found before it was made": [FOUND],
    "missed after it was made": [MADE, MISSED],
    "made twice, differently": [MADE, Event(kind="create", start=2, end=3, saw="k1 bb")],
    "found after it was destroyed": [MADE, DESTROYED, Event(kind="find", start=6, end=7, saw="k1")],
    "found elsewhere": [MADE, Event(kind="find", start=2, end=3, saw="k2")],
    "seen, and then not yet there": [
        Event(kind="create", start=0, end=9, saw="k1 aa"),
        Event(kind="find", start=1, end=2, saw="k1"),
        Event(kind="find", start=3, end=4),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_order_explains_it(name: str) -> None:
    assert linearizable(RIGHT[name])


@pytest.mark.parametrize("name", WRONG)
def test_no_order_explains_it(name: str) -> None:
    assert not linearizable(WRONG[name])


def test_a_long_history_is_judged_in_time() -> None:
    calls = [Event(kind="find", start=0, end=100) for _ in range(60)]
    assert linearizable([*calls, Event(kind="create", start=0, end=100, saw="k1 aa")])
