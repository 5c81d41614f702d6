"""What an operator should know of fallbacks: those that are under way, and standbys that could not sign (FR-024)."""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.backends.backend import Backend
from keyclave.errors import KeyclaveError, KeyNotFound, PolicyViolation
from keyclave.plugin import KeyLabel
from keyclave.services.fallback.standby import usable_standby
from keyclave.services.instance import Instance
from keyclave.services.keys.levels import require_level
from keyclave.services.results import RunningFallback, UnusableStandby
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["running_fallbacks", "unusable_standbys"]


def running_fallbacks(instance: Instance) -> Iterator[RunningFallback]:
    """Yield the fallbacks that are under way, in the order of the configured backends."""
    policy = instance.environment.fallback_policy
    if not policy.enabled:
        return
    with instance.store.read() as state:
        last = [state.fallbacks.get(backend_id) for backend_id in instance.backends.ids()]
    limit = policy.max_fallback_duration
    for fallback in last:
        if fallback is not None and fallback.ended_at is None:
            yield RunningFallback(
                backend_id=fallback.backend_id,
                begun_at=fallback.begun_at,
                ends_at=None if limit is None else fallback.begun_at + limit,
            )


def unusable_standbys(instance: Instance) -> Iterator[UnusableStandby]:
    """Yield the standby versions that could not sign now. Of those in one backend, only the newest is looked for."""
    with instance.store.read() as state:
        standbys = state.keys.standbys()
        keys = [(state.keys.by_id(each.key_id), state.keys.versions(each.key_id)) for each in standbys]
    newest = {each.backend_id: each for each in sorted(standbys, key=lambda each: each.created_at)}
    homes = {backend_id: _open(instance, backend_id) for backend_id in newest}
    for standby, (key, versions) in zip(standbys, keys, strict=True):
        home = homes[standby.backend_id]
        reason = _unfit(instance, key, versions) or _unusable_in(home, key)
        if reason is None and isinstance(home, Backend) and standby is newest[standby.backend_id]:
            reason = _missing_in(home, standby)
        if reason is not None:
            yield UnusableStandby(
                name=key.name, version=standby.version, backend_id=standby.backend_id, reason=reason
            )


def _open(instance: Instance, backend_id: str) -> Backend | str:
    """Return a backend, or why there is none: it is tried once for all of its keys."""
    try:
        return instance.backends.get(backend_id)
    except KeyclaveError as error:
        return error.message


def _unfit(instance: Instance, key: StoredKey, versions: tuple[StoredVersion, ...]) -> str | None:
    if not instance.environment.fallback_policy.enabled:
        return "the policy allows no fallback"
    if usable_standby(key, versions) is None:
        return "it does not fit the active version any more, in backend or algorithm, and waits to be replaced"
    return None


def _unusable_in(home: Backend | str, key: StoredKey) -> str | None:
    if isinstance(home, str):
        return home
    try:
        require_level(key, home)
    except PolicyViolation as error:
        return error.message
    return None


def _missing_in(home: Backend, standby: StoredVersion) -> str | None:
    try:
        home.find_key(KeyLabel.parse(standby.label))
    except KeyNotFound:
        return "its backend does not have it"
    except KeyclaveError as error:
        return error.message
    return None
