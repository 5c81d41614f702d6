"""Do what is due: rotate keys by their age, end validation periods, destroy what need not be kept (FR-022).

One backend does one rotation at a time, and a bounded number in one run, so that many keys that are due at once,
after a long downtime say, are no storm. What cannot be rotated is tried again later, not each minute.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

from keyclave.errors import Conflict, KeyclaveError
from keyclave.models import KeyHandle, KeyStatus
from keyclave.services.clock import why_not_trusted
from keyclave.services.destruction import Destruction
from keyclave.services.instance import Instance
from keyclave.services.recovery import Recovery
from keyclave.services.renewal import Renewal
from keyclave.services.results import DueReport
from keyclave.services.standby_keys import Standbys
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["DueWork"]

_ROTATIONS = 50
"""In one backend and one run."""
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
        rotated, failed = self._rotate(is_ending)
        suspended = self._suspended()
        destroyed: list[KeyHandle] = []
        if suspended is None:
            destroyed, not_destroyed = self._destroy(is_ending)
            failed += not_destroyed
        else:
            _log.warning("nothing is destroyed by its age: %s", suspended)
        self._instance.epoch.invalidate()
        return DueReport(
            rotated=tuple(rotated),
            recovered=len(recovered),
            destroyed=tuple(destroyed),
            failed=tuple(failed),
            suspended=suspended,
        )

    def _rotate(self, is_ending: Callable[[], bool]) -> tuple[list[KeyHandle], list[_Failure]]:
        due: defaultdict[str, list[_Due]] = defaultdict(list)
        with self._instance.store.read() as state:
            changing = {intent.key_id for intent in state.intents.open()}
            for version in state.keys.due(datetime.now(UTC)):
                if version.key_id not in changing and self._is_used(version):
                    due[version.backend_id].append((state.keys.by_id(version.key_id), version))
        rotated: list[KeyHandle] = []
        failed: list[_Failure] = []
        with ThreadPoolExecutor(_BACKENDS, thread_name_prefix="keyclave-rotation") as backends:
            for done, not_done in backends.map(partial(self._rotate_in_backend, is_ending), due.values()):
                rotated += done
                failed += not_done
        return rotated, failed

    def _rotate_in_backend(
        self, is_ending: Callable[[], bool], due: list[_Due]
    ) -> tuple[list[KeyHandle], list[_Failure]]:
        rotated: list[KeyHandle] = []
        failed: list[_Failure] = []
        for key, version in due:
            try:
                rotated.append(self._renew(key, version))
            except Conflict:
                continue  # somebody else is at it
            except KeyclaveError as error:
                _log.warning("key %r is due for rotation, but: %s", key.name, error)
                failed.append((key.name, error.message))
                if error.retryable:
                    break  # the backend is not well, and so it would be for the next key
                self._postpone(version)
            if len(rotated) == _ROTATIONS or is_ending():
                break
        return rotated, failed

    def _is_used(self, version: StoredVersion) -> bool:
        """Return whether a version signs at all: a standby does not where the policy allows no fallback any more."""
        return version.status is not KeyStatus.STANDBY or self._standbys.enabled

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

    def _destroy(self, is_ending: Callable[[], bool]) -> tuple[list[KeyHandle], list[_Failure]]:
        with self._instance.store.read() as state:
            changing = {intent.key_id for intent in state.intents.open()}  # a destruction that recovery repeats, say
            expired = [
                (state.keys.by_id(v.key_id), v)
                for v in state.keys.expired(datetime.now(UTC))
                if v.key_id not in changing
            ]
        destroyed: list[KeyHandle] = []
        failed: list[_Failure] = []
        for key, version in expired:
            if is_ending():
                break
            if key.rotation_policy.retain_deprecated_versions:
                continue
            try:
                destroyed.append(self._destruction.destroy(key.name, version.version))
            except KeyclaveError as error:
                _log.warning("version %d of key %r is not destroyed: %s", version.version, key.name, error)
                failed.append((key.name, error.message))
        return destroyed, failed
