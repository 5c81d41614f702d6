from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keyclave.errors import Throttled
from keyclave.plugin import BackendContext, BackendDescription, CreatedKey, CreateKeyRequest, Location, hookimpl
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.sources import Made
from msgspec.structs import replace


class Busy(Miniature):
    """Asks for fewer calls, as often as ``refusals`` says."""

    refusals = 0

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self.left = self.refusals

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if self.left:
            self.left -= 1
            raise Throttled("too many calls", retry_after=0.001)
        return super().create_key(request)


class BusyOnce(Busy):
    refusals = 1


class BusyTwiceElsewhere(Busy):
    """It is on a network, so the core repeats its calls."""

    refusals = 2

    @hookimpl
    def describe(self) -> BackendDescription:
        return replace(super().describe(), location=Location.REMOTE)


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    budget = BUDGETS["smoke"]
    source = Made(make=request.param, plugin=NAME, guarded=request.param is BusyTwiceElsewhere)
    bench = Bench(source, budget, Labels("0a1b2c3d"), tmp_path, Meter(budget))
    yield bench
    bench.close()


@pytest.mark.parametrize("bench", [BusyTwiceElsewhere], indirect=True)
def test_a_throttled_call_is_repeated_by_the_core(bench: Bench) -> None:
    assert bench.make("ECDSA_P256").spki
    assert (bench.meter.total.calls["create_key"], bench.meter.total.refused) == (1, 0)


@pytest.mark.parametrize("bench", [BusyOnce], indirect=True)
def test_the_suite_repeats_nothing(bench: Bench) -> None:
    with pytest.raises(Throttled):
        bench.make("ECDSA_P256")
    assert (bench.meter.total.calls["create_key"], bench.meter.total.refused) == (1, 1)


@pytest.mark.parametrize("bench", [Miniature], indirect=True)
def test_a_backend_that_cannot_say_has_no_foreign_keys(bench: Bench) -> None:
    assert not bench.subject.has_foreign_keys()
    assert bench.meter.total.calls.total() == 0
