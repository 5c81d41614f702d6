"""What a key begins with, whether it is created or adopted: a name that is free, and its row in the state."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from keyclave.errors import KeyAlreadyExists, KeyNotFound
from keyclave.models import RotationPolicy
from keyclave.services.instance import Instance
from keyclave.state.records import StoredKey
from keyclave.state.store import Transaction

__all__ = ["FIRST_VERSION", "new_key", "require_free"]

FIRST_VERSION = 1


def new_key(instance: Instance, name: str, algorithm: str, policy: RotationPolicy) -> StoredKey:
    """Return the row of a key that is not there yet. It requires the level of the environment from now on."""
    return StoredKey(
        key_id=uuid.uuid4(),
        name=name,
        algorithm=algorithm,
        owner_principal=instance.principal,
        created_at=datetime.now(UTC),
        required_security_level=instance.environment.required_security_level,
        rotation_policy=policy,
        minimum_rotation_interval=None,
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
