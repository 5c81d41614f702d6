"""The model holds for a right backend whose answers get lost, and fails for one that does what it denies."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from keyclave.errors import KeyNotFound, OutcomeUnknown
from keyclave.plugin import BackendContext, CreatedKey, CreateKeyRequest, DestroyResult, KeyReference, hookimpl
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.vocabulary import State

from tests.zoo.software import ZooSoftware, opened


class LosesAnswers(ZooSoftware):
    """Every third change ends without an answer; half of these were made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.chance = random.Random(7)

    def lost(self, change: Callable[[], Any]) -> Any:
        if self.chance.random() > 1 / 3:
            return change()
        if self.chance.random() > 1 / 2:
            change()
        raise OutcomeUnknown("no answer came")

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return self.lost(partial(super().create_key, request))  # type: ignore[no-any-return]

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        return self.lost(partial(super().destroy_key, key))  # type: ignore[no-any-return]

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        try:
            self.lost(partial(super().disable_key, key))
        except KeyNotFound:  # destroyed by a call whose answer was lost
            raise OutcomeUnknown("no answer came") from None


class DestroysWhatItDenies(ZooSoftware):
    """Disables by destroying, and says that it knows the outcome."""

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        super().destroy_key(key)


@pytest.mark.parametrize(("kind", "state"), [(LosesAnswers, State.PASS), (DestroysWhatItDenies, State.FAIL)])
def test_unknown_outcomes_are_believed_and_wrong_ones_are_found(
    kind: type[ZooSoftware], state: State, tmp_path: Path
) -> None:
    def make(context: BackendContext) -> ZooSoftware:
        return opened(kind, context)

    source = Made(make=make, plugin="software", guarded=False)
    with ContractRun(source, BUDGETS["standard"], tmp_path, seed=1, wanted=lambda c: c.number == 120) as run:
        result = run.run(run.plan.cases[0])
    assert result.state is state, result.reason
