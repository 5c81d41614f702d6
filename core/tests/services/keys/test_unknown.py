"""Keys that a backend has under a label of the instance, and that its state does not know."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import OutcomeUnknown

from core.tests.services.failing import failing, replaced
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import alice, as_, bob, migrate

__all__ = ["alice", "as_", "bob"]


def found(clave: Keyclave, backend: str = "software") -> set[tuple[Any, int]]:
    return {(key.label.key_id, key.label.version) for key in clave.backends.unknown_keys(backend)}


def test_what_was_made_since_the_copy_that_was_put_back_is_unknown(config: Path, tmp_path: Path) -> None:
    with keyclave.open(config) as clave:
        database = Path(clave.settings.state.directory, "keyclave.db")
        clave.keys.create("k", "ED25519")
        assert found(clave) == set()
    shutil.copy(database, tmp_path / "copy.db")
    with keyclave.open(config) as clave:
        made = {(clave.rotation.rotate("k").key_id, 2), (clave.keys.create("new", "ED25519").key_id, 1)}
        assert found(clave) == set()
    shutil.copy(tmp_path / "copy.db", database)
    with keyclave.open(config) as clave:
        assert found(clave) == made


def test_what_a_version_or_an_open_change_is_of_is_known(clave: Keyclave) -> None:
    clave.keys.create("revoked", "ED25519")
    clave.keys.revoke("revoked", "test")
    with long_ago():
        clave.keys.create("k", "ED25519")
        clave.rotation.rotate("k")
    clave.keys.destroy("k", 1)
    with failing(clave, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
        clave.rotation.rotate("k")
    assert [intent.kind for intent in clave.recovery.open_intents()] == ["rotate"]
    assert found(clave) == set()


def test_what_a_migration_is_of_is_known_at_both_places(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("moved", "ED25519", wrappable=True)
    alice.keys.create("renewed", "ED25519")
    migrate(alice, bob, "moved", "renewed")
    assert [len(list(alice._backends.get(each).list_keys())) for each in ("software", "other")] == [2, 2]
    assert (found(alice), found(alice, "other")) == (set(), set())


def test_a_change_that_is_undone_meanwhile_leaves_nothing_that_is_unknown(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    with failing(clave, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
        clave.rotation.rotate("k")

    def undo_after(real: Callable[..., Any]) -> Any:
        listed = list(real())
        assert len(listed) == 2
        clave.recovery.run()
        return iter(listed)

    with replaced(clave, "list_keys", undo_after):
        assert found(clave) == set()
