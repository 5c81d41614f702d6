"""A commit whose answer is lost: whether it happened is looked up by the operation, and never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import Conflict, OutcomeUnknown, StateUnavailable
from keyclave.services import resolution
from keyclave.services.ownership import owners
from keyclave.state.store import Store, Transaction

from core.tests.databases import Place
from core.tests.fleet import be_late, fall_silent, node

PERIOD = timedelta(hours=1)
OPERATIONS: dict[str, tuple[int, Callable[[Keyclave], Any], list[str]]] = {
    "create": (2, lambda clave: clave.keys.create("k", "ED25519"), ["ACTIVE"]),
    "rotate": (3, lambda clave: clave.rotation.rotate("k"), ["DEPRECATED", "ACTIVE"]),
    "validate": (3, lambda clave: clave.rotation.rotate("k", validation_period=PERIOD), ["ACTIVE", "PENDING"]),
    "promote": (1, lambda clave: clave.rotation.promote("k"), ["DEPRECATED", "ACTIVE"]),
    "rollback": (2, lambda clave: clave.rotation.rollback("k", "test"), ["ACTIVE", "REVOKED"]),
    "revoke": (2, lambda clave: clave.keys.revoke("k", "test"), ["REVOKED"]),
    "destroy": (2, lambda clave: clave.keys.destroy("k", 1), ["REVOKED"]),
}
"""How many transactions an operation has, what it is, and what the versions of the key are after it."""
CASES = [(name, number + 1) for name, (transactions, *_) in OPERATIONS.items() for number in range(transactions)]


@pytest.fixture
def clave(place: Place, tmp_path: Path) -> Iterator[Keyclave]:
    with node(place, tmp_path / "node") as opened:
        yield opened


@contextmanager
def losing(number: int, *, durable: bool) -> Iterator[list[int]]:
    """Lose the answer to one of the transactions that write, after it is durable or instead of that."""
    real, seen = Store.write, [0]

    @contextmanager
    def write(store: Store) -> Iterator[Transaction]:
        with real(store) as state:
            yield state
            seen[0] += 1
            if seen[0] == number and not durable:
                raise StateUnavailable("the connection was lost")
        if seen[0] == number:
            raise StateUnavailable("the connection was lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "write", write)
        yield seen


def prepare(clave: Keyclave, operation: str) -> None:
    """Bring the key to where the operation begins."""
    if operation != "create":
        clave.keys.create("k", "ED25519")
    if operation in {"promote", "rollback"}:
        clave.rotation.rotate("k", validation_period=PERIOD)
    if operation == "destroy":
        clave.keys.revoke("k", "test")


def statuses(clave: Keyclave) -> list[str]:
    return [version.status.value for version in clave.keys.versions("k")]


@pytest.mark.parametrize(("operation", "number"), CASES)
def test_what_is_durable_is_done(clave: Keyclave, operation: str, number: int) -> None:
    transactions, act, expected = OPERATIONS[operation]
    prepare(clave, operation)
    with losing(number, durable=True) as seen:
        act(clave)
    assert seen == [transactions]
    assert statuses(clave) == expected
    assert clave.recovery.open_intents() == ()
    assert clave.audit.verify().ok


@pytest.mark.parametrize(("operation", "number"), CASES)
def test_what_is_not_durable_is_not_taken_for_done(
    clave: Keyclave, operation: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "_SETTLED_AFTER", timedelta(0))
    _, act, expected = OPERATIONS[operation]
    prepare(clave, operation)
    with losing(number, durable=False), pytest.raises(StateUnavailable, match="the connection was lost"):
        act(clave)
    clave.recovery.run()
    assert clave.recovery.open_intents() == ()
    if operation not in {"rotate", "validate"}:
        with suppress(Conflict):  # recovery has finished the rollback
            act(clave)
        assert statuses(clave) == expected
    there = [version for version in clave.keys.versions("k") if version.destroyed_at is None]
    assert sum(len(path.stem) == 32 for path in (tmp_path / "keystore").glob("*.key")) == len(there)
    if operation not in {"revoke", "destroy"}:
        clave.keys.verify("k", b"message", clave.keys.sign("k", b"message").signature)


def test_what_cannot_be_looked_up_is_unknown_and_nothing_is_undone(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare(clave, "rotate")
    monkeypatch.setattr(owners, "_LOOK_UP_SECONDS", 0.0)

    def fail(_: Store) -> None:
        raise StateUnavailable("there is no connection")

    with losing(3, durable=True), monkeypatch.context() as patch:
        patch.setattr(Store, "reopen", fail)
        with pytest.raises(OutcomeUnknown, match="not known whether the change is recorded"):
            clave.rotation.rotate("k")
    assert clave.recovery.run() == ()
    assert statuses(clave) == ["DEPRECATED", "ACTIVE"]
    clave.keys.verify("k", b"message", clave.keys.sign("k", b"message").signature)


def test_what_somebody_else_has_undone_during_the_search_is_not_taken_for_done(
    clave: Keyclave, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare(clave, "rotate")
    real = Store.reopen

    def be_too_late(store: Store) -> None:
        fall_silent(clave)
        be_late(clave)
        assert [intent.kind for intent in there.recovery.run()] == ["rotate"]
        real(store)

    with node(place, tmp_path / "there") as there, losing(3, durable=False), monkeypatch.context() as patch:
        patch.setattr(Store, "reopen", be_too_late)
        with pytest.raises(OutcomeUnknown, match="not known whether the change is recorded"):
            clave.rotation.rotate("k")
    assert statuses(clave) == ["ACTIVE", "REVOKED"]
    assert clave.recovery.open_intents() == ()
