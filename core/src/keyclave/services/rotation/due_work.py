"""Do what is due: rotate keys by their age, end validation periods, destroy what need not be kept (FR-022).

Of all processes, one at a time does what is due in a backend: it holds a lease. So a backend does one rotation at a
time, and a bounded number in one run: many keys that are due at once, after a long downtime say, are no storm. What
cannot be rotated is tried again later, not each minute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

from keyclave.errors import Conflict, KeyclaveError
from keyclave.models import KeyHandle, KeyStatus
from keyclave.services.clock import why_not_trusted
from keyclave.services.fallback.standby_keys import Standbys
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import Destruction
from keyclave.services.recovery import Recovery
from keyclave.services.results import DueReport
from keyclave.services.rotation.renewal import Renewal
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["DueWork"]

_ROTATIONS = 50
"""In one backend and one run, those that fail included."""
_BACKENDS = 8
"""At a time."""
_LATER = timedelta(hours=1)
"""When a rotation that failed for good is tried again."""
_log = logging.getLogger("keyclave.rotation")

_Failure = tuple[str, str]
_Due = tuple[StoredKey, StoredVersion]


class DueWork:
    """Does what is due."""

    def __init__(
        self,
        instance: Instance,
        recovery: Recovery,
        *,
        renewal: Renewal,
        standbys: Standbys,
        destruction: Destruction,
    ) -> None:
        self._instance = instance
        self._recovery = recovery
        self._renewal = renewal
        self._standbys = standbys
        self._destruction = destruction

    def run(self, is_ending: Callable[[], bool] = lambda: False) -> DueReport:
        """Do it; see `RotationService.run_due`. Once ``is_ending`` says so, no other key is begun with."""
        recovered = self._recovery.run()
        suspended = self._suspended()
        if suspended is not None:
            _log.warning("nothing is destroyed by its age: %s", suspended)
        rotated: list[KeyHandle] = []
        destroyed: list[KeyHandle] = []
        failed: list[_Failure] = []
        with ThreadPoolExecutor(_BACKENDS, thread_name_prefix="keyclave-rotation") as threads:
            work = partial(self._work, is_ending, destroying=suspended is None)
            for new, gone, not_done in threads.map(work, self._backends()):
                rotated += new
                destroyed += gone
                failed += not_done
        self._instance.epoch.invalidate()
        return DueReport(
            rotated=tuple(rotated),
            recovered=len(recovered),
            destroyed=tuple(destroyed),
            failed=tuple(failed),
            suspended=suspended,
        )

    def _backends(self) -> list[str]:
        """Return the backends in which something is due."""
        with self._instance.store.read() as state:
            return sorted({version.backend_id for _, version in (*self._due(state), *_expired(state))})

    def _work(
        self, is_ending: Callable[[], bool], backend_id: str, *, destroying: bool
    ) -> tuple[list[KeyHandle], list[KeyHandle], list[_Failure]]:
        """Do what is due in one backend, unless another process is at that."""
        failed: list[_Failure] = []
        with self._instance.owner.alone(f"due-work:{backend_id}") as is_ours:

            def goes_on() -> bool:
                return is_ours() and not is_ending()

            rotated = self._rotate(goes_on, backend_id, failed) if goes_on() else []
            destroyed = self._destroy(goes_on, backend_id, failed) if destroying and goes_on() else []
        return rotated, destroyed, failed

    def _rotate(self, goes_on: Callable[[], bool], backend_id: str, failed: list[_Failure]) -> list[KeyHandle]:
        rotated: list[KeyHandle] = []
        for key, version in self._in_backend(self._due, backend_id)[:_ROTATIONS]:
            try:
                rotated.append(self._renew(key, version))
            except KeyclaveError as error:
                refused = isinstance(error, Conflict)
                if refused and self._is_changing(version):
                    continue  # somebody else is at it
                _log.warning("key %r is due for rotation, but: %s", key.name, error)
                failed.append((key.name, error.message))
                if error.retryable and not refused:
                    break  # the backend is not well, and so it would be for the next key
                self._postpone(version)
            if not goes_on():
                break
        return rotated

    def _is_changing(self, version: StoredVersion) -> bool:
        """Return whether somebody else changes a version, or has changed it: else its backend refuses it."""
        with self._instance.store.read() as state:
            changing = any(intent.key_id == version.key_id for intent in state.intents.open())
            return changing or state.keys.version(version.key_id, version.version) != version

    def _in_backend(self, find: Callable[[Transaction], list[_Due]], backend_id: str) -> list[_Due]:
        with self._instance.store.read() as state:
            return [(key, version) for key, version in find(state) if version.backend_id == backend_id]

    def _due(self, state: Transaction) -> list[_Due]:
        """Return the versions that are old enough to be rotated, but no standby if the policy allows no fallback."""
        due = state.keys.due(datetime.now(UTC))
        return _unchanging(state, (v for v in due if v.status is not KeyStatus.STANDBY or self._standbys.enabled))

    def _renew(self, key: StoredKey, version: StoredVersion) -> KeyHandle:
        if version.status is KeyStatus.STANDBY:
            return self._standbys.add(key.name)
        return self._renewal.rotate(key.name, algorithm=None, validation_period=None, automatic=True)

    def _postpone(self, version: StoredVersion) -> None:
        with self._instance.store.write() as state:
            now = state.keys.version(version.key_id, version.version)
            if now.status is version.status and now.next_rotation_at == version.next_rotation_at:
                later = datetime.now(UTC) + _LATER
                state.keys.update_version(version.key_id, version.version, next_rotation_at=later)

    def _suspended(self) -> str | None:
        now = datetime.now(UTC)
        with self._instance.store.write() as state:
            reason = why_not_trusted(state.clock.witnessed(), now)
            if reason is None or state.clock.witnessed() is None:
                state.clock.witness(now)
        return reason

    def _destroy(self, goes_on: Callable[[], bool], backend_id: str, failed: list[_Failure]) -> list[KeyHandle]:
        destroyed: list[KeyHandle] = []
        for key, version in self._in_backend(_expired, backend_id):
            if not goes_on():
                break
            try:
                destroyed.append(self._destruction.destroy(key.name, version.version))
            except Conflict:
                continue  # somebody else is at it
            except KeyclaveError as error:
                _log.warning("version %d of key %r is not destroyed: %s", version.version, key.name, error)
                failed.append((key.name, error.message))
        return destroyed


def _expired(state: Transaction) -> list[_Due]:
    """Return the versions that need not be kept any more."""
    found = _unchanging(state, state.keys.expired(datetime.now(UTC)))
    return [(key, version) for key, version in found if not key.rotation_policy.retain_deprecated_versions]


def _unchanging(state: Transaction, versions: Iterable[StoredVersion]) -> list[_Due]:
    """Leave out the keys that somebody is changing, or that recovery will change again."""
    changing = {intent.key_id for intent in state.intents.open()}
    return [(state.keys.by_id(v.key_id), v) for v in versions if v.key_id not in changing]
