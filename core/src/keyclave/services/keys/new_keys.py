"""What a key begins with, whether it is created or adopted: a name that is free, and its row in the state."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from keyclave.errors import KeyAlreadyExists, KeyNotFound
from keyclave.models import RotationPolicy
from keyclave.plugin import Record
from keyclave.services.instance import Instance
from keyclave.state.records import StoredKey
from keyclave.state.store import Transaction

__all__ = ["FIRST_VERSION", "RotationDefaults", "new_key", "require_free"]

FIRST_VERSION = 1


class RotationDefaults(Record, frozen=True, kw_only=True):
    """What a new key takes from the settings.

    Attributes:
        policy: when it is rotated, unless it is created with a policy of its own.
        minimum_interval: no rotation earlier than this after the last one; ``None`` for no such rule.
    """

    policy: RotationPolicy
    minimum_interval: timedelta | None


def new_key(
    instance: Instance, name: str, algorithm: str, policy: RotationPolicy, minimum_interval: timedelta | None
) -> StoredKey:
    """Return the row of a key that is not there yet. It requires the level of the environment from now on."""
    return StoredKey(
        key_id=uuid.uuid4(),
        name=name,
        algorithm=algorithm,
        owner_principal=instance.principal,
        created_at=datetime.now(UTC),
        required_security_level=instance.environment.required_security_level,
        rotation_policy=policy,
        minimum_rotation_interval=minimum_interval,
    )


def require_free(state: Transaction, name: str) -> None:
    """Refuse a name that a key has.

    Raises:
        KeyAlreadyExists: one has it.
    """
    try:
        state.keys.by_name(name)
    except KeyNotFound:
        return
    raise KeyAlreadyExists("a key of this name exists", key_name=name)
