"""The list of what an emulator does wrong is strict: it explains what fails, and nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest
from keyclave_contract_tests.catalogue import catalogue
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.vocabulary import Cost, Group, Level, State
from msgspec import structs

from tests.contract.deviations import Deviation, problems, read_deviations

XOR = Deviation(
    checks=("44-changed-ciphertext-is-refused",),
    subject="AES_256",
    raises="succeeded",
    emulator="XOR",
    documented="-",
)
FAILED = CaseResult(
    id="44-changed-ciphertext-is-refused",
    subject="AES_256",
    title="-",
    group=Group.ENCRYPT,
    level=Level.ENCRYPT,
    cost=Cost.QUICK,
    security=True,
    since="2026.11",
    state=State.FAIL,
    reason="decrypting it succeeded",
)


def test_a_listed_failure_is_expected() -> None:
    passed = structs.replace(FAILED, id="1-other", state=State.PASS)
    assert list(problems([FAILED, passed], (XOR,))) == []


@pytest.mark.parametrize(
    "change",
    [{"id": "45-cut"}, {"subject": "AES_256/GCM"}, {"reason": "it hung"}, {"state": State.ERROR}],
    ids=lambda change: next(iter(change)),
)
def test_any_other_failure_is_not(change: dict[str, object]) -> None:
    other = structs.replace(FAILED, **change)
    found = list(problems([FAILED, other], (XOR,)))
    assert found == [f"{other.id} {other.subject}: {other.reason}"]


def test_an_entry_that_nothing_needs_is_told() -> None:
    found = list(problems([structs.replace(FAILED, state=State.PASS, reason="")], (XOR,)))
    assert found == ["44-changed-ciphertext-is-refused: the list says that it fails, and it does not: XOR"]


def test_the_entries_for_ministack_name_checks_and_say_what_aws_documents() -> None:
    checks = {check.id for check in catalogue()}
    for deviation in read_deviations(Path(__file__).with_name("ministack.toml")):
        assert set(deviation.checks) <= checks
        assert deviation.emulator
        assert deviation.documented
