from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from keyclave.errors import ConfigurationError
from keyclave_contract_tests.cases import not_run
from keyclave_contract_tests.catalogue import Case, Target, catalogue
from keyclave_contract_tests.ledger import Entry, applied, read_ledger
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.vocabulary import State
from msgspec import structs

TODAY = date(2026, 11, 26)
CHECK = next(check for check in catalogue() if not check.security)
SECURITY = next(check for check in catalogue() if check.security)


def result(state: State, reason: str = "") -> CaseResult:
    return structs.replace(not_run(Case(check=CHECK, target=Target()), reason), state=state)


def entry(**changes: object) -> Entry:
    known = Entry(id=CHECK.id, raises="lost", reason="firmware 7.2", expires=TODAY + timedelta(days=30))
    return structs.replace(known, **changes)


def ledger(tmp_path: Path, **changes: object) -> Path:
    fields = {"id": CHECK.id, "raises": "lost", "reason": "firmware 7.2", "expires": TODAY + timedelta(days=30)}
    lines = (f"{k} = {v if isinstance(v, date) else repr(v)}" for k, v in {**fields, **changes}.items())
    path = tmp_path / "ledger.toml"
    path.write_text("[[known]]\n" + "\n".join(lines))
    return path


def test_an_entry_is_read(tmp_path: Path) -> None:
    assert read_ledger(ledger(tmp_path), TODAY) == (entry(),)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "999-no-such-check"}, "no such check"),
        ({"id": SECURITY.id}, "security"),
        ({"expires": TODAY - timedelta(days=1)}, "expired"),
        ({"expires": TODAY + timedelta(days=181)}, "180 days"),
        ({"raises": "("}, "regular expression"),
        ({"raise": "lost"}, "cannot be used"),
    ],
)
def test_an_entry_that_cannot_stand_is_refused(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read_ledger(ledger(tmp_path, **changes), TODAY)


def test_a_ledger_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read_ledger(tmp_path / "none.toml", TODAY)


def test_a_known_failure_is_known() -> None:
    (applied_result,) = applied([result(State.FAIL, "a session was lost")], [entry()])
    assert (applied_result.state, applied_result.ledger) == (State.KNOWN_FAIL, "firmware 7.2")


def test_another_failure_of_the_same_check_stays_a_failure() -> None:
    (applied_result,) = applied([result(State.FAIL, "the signature is wrong")], [entry()])
    assert applied_result.state is State.FAIL
    assert "another failure" in applied_result.reason


@pytest.mark.parametrize("state", [State.PASS, State.UNSUPPORTED])
def test_a_known_failure_that_does_not_fail_is_a_failure(state: State) -> None:
    (applied_result,) = applied([result(state)], [entry()])
    assert applied_result.state is State.FAIL


@pytest.mark.parametrize("state", [State.NOT_RUN, State.ERROR])
def test_what_was_not_shown_is_not_excused(state: State) -> None:
    assert applied([result(state)], [entry()])[0].state is state


def test_an_entry_for_one_subject_leaves_the_others_alone() -> None:
    failed = result(State.FAIL, "a session was lost")
    assert applied([failed], [entry(subject="RSA_2048")])[0].state is State.FAIL
