"""The durable intent that a change writes before its first side effect."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from keyclave.errors import Conflict
from keyclave.plugin import KeyLabel
from keyclave.services.instance import Instance
from keyclave.services.ownership.owners import WINDOW
from keyclave.services.recording import Operation
from keyclave.state.records import IntentKind, StoredIntent, StoredKey
from keyclave.state.store import Transaction

__all__ = [
    "KEY_NAME",
    "PLUGIN",
    "WINDOW",
    "IntentKind",
    "is_migration",
    "new_intent",
    "require_no_migration",
    "require_no_other",
]

KEY_NAME = "key_name"
"""The parameter of an intent that names a key which the state does not know yet."""
PLUGIN = "plugin"
"""The parameter of an intent with a label that names the plugin which is asked to make the key."""


def new_intent(
    instance: Instance,
    operation: Operation,
    kind: IntentKind,
    *,
    key_id: UUID,
    backend_id: str,
    from_version: int | None = None,
    to_version: int | None = None,
    label: KeyLabel | None = None,
) -> StoredIntent:
    """Return the intent of an operation, owned by this instance."""
    now = datetime.now(UTC)
    parameters = instance.owner.parameters()
    if label is not None:
        parameters[PLUGIN] = instance.backends.plugin_of(backend_id)
    return StoredIntent(
        operation_id=operation.operation_id,
        kind=kind,
        step="begun",
        key_id=key_id,
        from_version=from_version,
        to_version=to_version,
        backend_id=backend_id,
        label=None if label is None else str(label),
        parameters=parameters,
        principal=instance.principal,
        created_at=now,
        updated_at=now,
        outcome=None,
    )


def is_migration(intent: StoredIntent) -> bool:
    """Return whether an intent is of a migration, its rollback, or the end of its source."""
    return intent.kind in ("migrate", "revert", "retire")


def require_no_migration(state: Transaction, key: StoredKey) -> None:
    """Refuse a change of a version of a key that may be about to be elsewhere.

    Raises:
        Conflict: a migration of the key is open.
    """
    if any(other.key_id == key.key_id and is_migration(other) for other in state.intents.open()):
        raise Conflict("a migration of this key is under way", key_name=key.name)


def require_no_other(state: Transaction, key: StoredKey) -> None:
    """Refuse a change of a key while another one is open.

    Raises:
        Conflict: one is.
    """
    for other in state.intents.open():
        if other.key_id != key.key_id:
            continue
        if other.step == WINDOW:
            raise Conflict(
                f"version {other.to_version} of it is under validation",
                key_name=key.name,
                next_step="Promote it with `keyclave keys promote`, or give it up with `keyclave keys rollback`.",
                retryable=False,
            )
        raise Conflict(
            f"another change of this key is under way ({other.kind})",
            key_name=key.name,
            next_step="`keyclave recover --list` shows it, and who is at it; repeat the call once it has ended.",
        )
