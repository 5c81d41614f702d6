"""What a standby version is: one in another backend, which signs while that of the active version is unavailable.

It has a key of its own, and is published with the others from the day that it is made: verifiers accept both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keyclave.models import KeyStatus
from keyclave.services.clock import kept_from
from keyclave.services.handles import algorithm_of, current
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["replace_if_unfit", "retire", "standby_of", "usable_standby"]


def standby_of(versions: tuple[StoredVersion, ...]) -> StoredVersion | None:
    """Return the standby version of a key; ``None`` if it has none."""
    return next((version for version in versions if version.status is KeyStatus.STANDBY), None)


def usable_standby(key: StoredKey, versions: tuple[StoredVersion, ...]) -> StoredVersion | None:
    """Return the standby version that may sign for the active one; ``None`` if there is none.

    One in the backend of the active version is away when that is, and verifiers do not expect one of another
    algorithm. A migration or a rotation may have made it so, until it is replaced.
    """
    standby, active = standby_of(versions), current(versions)
    if standby is None or active.status is not KeyStatus.ACTIVE:
        return None
    fits = standby.backend_id != active.backend_id and algorithm_of(key, standby) == algorithm_of(key, active)
    return standby if fits else None


def replace_if_unfit(state: Transaction, key: StoredKey) -> None:
    """Let a standby version that cannot sign for the active one any more be replaced at the next occasion."""
    versions = state.keys.versions(key.key_id)
    standby = standby_of(versions)
    if standby is not None and usable_standby(key, versions) is None:
        earliest = standby.created_at + timedelta(microseconds=1)  # if the clock was ahead when it was created
        at = max(datetime.now(UTC), earliest)
        state.keys.update_version(key.key_id, standby.version, next_rotation_at=at)


def retire(state: Transaction, key: StoredKey, standby: StoredVersion) -> StoredVersion:
    """Let a standby version sign no more, and keep it as long as a version that was rotated away."""
    now = max(datetime.now(UTC), standby.created_at)  # unless the clock was ahead when it was created
    return state.keys.update_version(
        key.key_id,
        standby.version,
        status=KeyStatus.DEPRECATED,
        last_rotation_at=now,
        next_rotation_at=None,
        not_destroy_before=kept_from(state, now) + key.rotation_policy.deprecated_version_retention_period,
    )
