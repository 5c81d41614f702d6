from __future__ import annotations

import pytest
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.violations import OutOfBudget
from msgspec import structs

SMALL = structs.replace(BUDGETS["smoke"], calls=3, keys=1)


def test_calls_are_counted_for_the_run_and_for_the_block() -> None:
    meter = Meter(SMALL)
    with meter.call("sign", makes_key=False):
        pass
    with meter.reading() as reading, meter.call("sign", makes_key=False):
        pass
    assert (meter.total.calls["sign"], reading.calls["sign"], len(reading.times)) == (2, 1, 1)


def test_a_refused_call_is_counted_as_one() -> None:
    meter = Meter(SMALL)
    with pytest.raises(LookupError), meter.call("find_key", makes_key=False):
        raise LookupError
    assert (meter.total.calls.total(), meter.total.refused) == (1, 1)


@pytest.mark.parametrize(("hook", "makes_key", "allowed"), [("sign", False, 3), ("create_key", True, 1)])
def test_the_budget_ends_the_calls(hook: str, makes_key: bool, allowed: int) -> None:  # noqa: FBT001
    meter = Meter(SMALL)
    for _ in range(allowed):
        with meter.call(hook, makes_key=makes_key):
            pass
    with pytest.raises(OutOfBudget), meter.call(hook, makes_key=makes_key):
        pytest.fail("the call was made")


def test_cleaning_up_needs_no_budget() -> None:
    meter = Meter(structs.replace(SMALL, calls=0))
    with meter.free(), meter.call("destroy_key", makes_key=False):
        pass
    assert meter.total.calls["destroy_key"] == 1


def test_one_call_has_no_percentiles() -> None:
    meter = Meter(SMALL)
    with meter.reading() as reading:
        with meter.call("sign", makes_key=False):
            pass
        assert reading.percentiles() is None
        with meter.call("sign", makes_key=False):
            pass
    percentiles = reading.percentiles()
    assert percentiles is not None
    assert percentiles[0] <= percentiles[1]
