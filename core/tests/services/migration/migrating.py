"""Two principals on one instance with two backends: who asks for a migration, and who approves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.models import KeyMigrationRecord, SecurityLevel
from keyclave.services.keys import creation, new_keys
from keyclave.state.records import StoredKey
from msgspec.structs import replace

from tests.principals import As, alice, bob

__all__ = ["OTHER", "As", "alice", "as_", "bob", "create_requiring_hsm", "listed", "migrate"]

OTHER = '[backends.other]\nplugin = "software"\n'


@pytest.fixture
def as_(config: Path) -> Iterator[As]:
    """Open the instance, with a second backend, in the name of a principal; close it at the end."""
    config.write_text(config.read_text() + OTHER)
    with ExitStack() as closing:
        yield lambda principal: closing.enter_context(keyclave.open(config, principal=principal))


def migrate(alice: Keyclave, bob: Keyclave, *names: str, exception: str | None = None) -> KeyMigrationRecord:
    """Migrate keys to the other backend, and return the first migration."""
    plan = alice.migration.plan(names, "other", exception=exception)
    bob.migration.approve(plan.plan_id, "wanted")
    return alice.migration.run(plan.plan_id)[0]


def listed(clave: Keyclave, backend: str) -> set[str]:
    """The labels of all keys that a backend lists."""
    return {str(reference.label) for reference in clave._backends.get(backend).list_keys()}


def create_requiring_hsm(clave: Keyclave, algorithm: str) -> None:
    """Create a key, k, as where the environment requires an HSM."""

    def requiring_hsm(*arguments: Any) -> StoredKey:
        return replace(new_keys.new_key(*arguments), required_security_level=SecurityLevel.HSM)

    with pytest.MonkeyPatch.context() as stricter:
        stricter.setattr(creation, "new_key", requiring_hsm)
        clave.keys.create("k", algorithm, wrappable=True)
