"""Give a key a new version (FR-017): intent, generate, validate, and the period in which both versions sign.

The validation period is an intent that stays open. It ends by promotion or by rollback; recovery promotes when its
time is over.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keyclave.backends.backend import Backend
from keyclave.errors import CapabilityUnsupported, Conflict, InvalidArgument, KeyDisabled, PolicyViolation
from keyclave.models import KeyHandle, KeyStatus, OperationType, get_algorithm
from keyclave.models.rotation import LONGEST_VALIDATION
from keyclave.plugin import Record
from keyclave.services.backends.selection import refused_by_ability
from keyclave.services.handles import algorithm_of, current, to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import WINDOW, new_intent, require_no_other
from keyclave.services.keys.generation import generate, label_for
from keyclave.services.keys.levels import require_level
from keyclave.services.keys.validation import validate
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.services.rotation.promotion import promote_in
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["Renewal"]

_REPEAT = "The key is as it was. Check the backend with `keyclave doctor`, then rotate again."


class _Wanted(Record, frozen=True, kw_only=True):
    """What a rotation makes of what."""

    key: StoredKey
    old: StoredVersion
    number: int
    algorithm: str
    validation_period: timedelta


class Renewal:
    """Makes new versions of keys."""

    def __init__(self, instance: Instance, recorder: Recorder, recovery: Recovery) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery

    def rotate(
        self, name: str, *, algorithm: str | None, validation_period: timedelta | None, automatic: bool = False
    ) -> KeyHandle:
        """Make a new version of a key; see `RotationService.rotate`."""
        with (
            self._recorder.operation(OperationType.ROTATE, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            wanted = self._read(name, algorithm, validation_period, automatic=automatic)
            key, old = wanted.key, wanted.old
            operation.key_reference, operation.key_version = str(key.key_id), wanted.number
            operation.backend_id, operation.backend_type = old.backend_id, old.backend_type
            backend = self._instance.backend_of(old)
            require_level(key, backend)
            if refused := refused_by_ability(backend, wanted.algorithm):
                raise CapabilityUnsupported(refused, backend_id=backend.id, key_name=name)
            intent = self._begin(operation, wanted)
            with self._recovery.guarding(intent):
                new = self._generate(operation, wanted, backend)
                validate(key, new, backend, next_step=_REPEAT)
                return self._take_up(operation, intent, wanted)

    def _read(
        self, name: str, algorithm: str | None, validation_period: timedelta | None, *, automatic: bool
    ) -> _Wanted:
        require_name(name)
        with self._instance.store.read() as state:
            key = state.keys.by_name(name)
            versions = state.keys.versions(key.key_id)
        old = current(versions)
        if old.status is not KeyStatus.ACTIVE:
            raise KeyDisabled("it has no active version to rotate", key_name=name)
        _require_permitted(key, old, automatic=automatic)
        chosen = get_algorithm(algorithm_of(key, old) if algorithm is None else algorithm)
        if chosen.signs is not get_algorithm(key.algorithm).signs:
            raise InvalidArgument(
                f"a key of algorithm {algorithm_of(key, old)} cannot become one of algorithm {chosen.name}",
                key_name=name,
                next_step="A key that signs stays one that signs, and one that encrypts one that encrypts.",
            )
        period = key.rotation_policy.validation_period if validation_period is None else validation_period
        if not isinstance(period, timedelta) or not timedelta(0) <= period <= LONGEST_VALIDATION:
            raise InvalidArgument("the validation period must be between 0 and 365 days (FR-017)", key_name=name)
        if validation_period and not chosen.signs:
            raise InvalidArgument(
                f"a key of algorithm {chosen.name} has no validation period: only one version encrypts at a time",
                key_name=name,
                next_step="Rotate without a period; the old version goes on decrypting what it encrypted.",
            )
        return _Wanted(
            key=key,
            old=old,
            number=versions[-1].version + 1,
            algorithm=chosen.name,
            validation_period=period if chosen.signs else timedelta(0),
        )

    def _begin(self, operation: Operation, wanted: _Wanted) -> StoredIntent:
        key, old = wanted.key, wanted.old
        intent = new_intent(
            self._instance,
            operation,
            "rotate",
            key_id=key.key_id,
            backend_id=old.backend_id,
            from_version=old.version,
            to_version=wanted.number,
            label=label_for(self._instance, operation, key.key_id, wanted.number),
        )
        with self._instance.owner.write(operation.operation_id) as state:
            require_no_other(state, key)
            versions = state.keys.versions(key.key_id)
            if current(versions) != old or versions[-1].version != wanted.number - 1:
                raise Conflict("somebody else changed this key", key_name=key.name)
            state.intents.add(intent)
        return intent

    def _generate(self, operation: Operation, wanted: _Wanted, backend: Backend) -> StoredVersion:
        self._instance.owner.require(operation.operation_id)
        new = generate(
            operation,
            wanted.key,
            backend,
            label_for(self._instance, operation, wanted.key.key_id, wanted.number),
            algorithm=wanted.algorithm,
            exportable=wanted.old.exportable,
            status=KeyStatus.PENDING,
        )
        with self._instance.owner.write(operation.operation_id) as state:
            _require_not_revoked(state, wanted)
            state.keys.add_version(new)
            state.intents.advance(operation.operation_id, "validate")
        return new

    def _take_up(self, operation: Operation, intent: StoredIntent, wanted: _Wanted) -> KeyHandle:
        """Begin the validation period of the new version, or let it take over where there is none."""
        key = wanted.key
        with self._instance.owner.write(operation.operation_id) as state:
            _require_not_revoked(state, wanted)
            if wanted.validation_period:
                until = datetime.now(UTC) + wanted.validation_period
                taken_up = state.keys.update_version(key.key_id, wanted.number, validation_ends_at=until)
                state.intents.advance(operation.operation_id, WINDOW)
            else:
                taken_up = promote_in(state, key, intent)
                state.intents.close(operation.operation_id, "done")
            self._instance.audit.append_in(state, operation.success())
        return to_handle(key, taken_up)


def _require_not_revoked(state: Transaction, wanted: _Wanted) -> None:
    """Refuse to go on with a key that somebody revoked since the rotation began: revocation waits for nobody."""
    if state.keys.version(wanted.key.key_id, wanted.old.version).status is not KeyStatus.ACTIVE:
        raise KeyDisabled("it was revoked while it was rotated", key_name=wanted.key.name)


def _require_permitted(key: StoredKey, old: StoredVersion, *, automatic: bool) -> None:
    if not automatic and not key.rotation_policy.manual_rotation_allowed:
        raise PolicyViolation("the key's policy forbids manual rotation (FR-017)", key_name=key.name)
    minimum = key.minimum_rotation_interval
    since = old.last_rotation_at or old.created_at
    if minimum is not None and datetime.now(UTC) < since + minimum:
        raise PolicyViolation(
            f"the key must not be rotated before {since + minimum:%Y-%m-%d %H:%M} UTC", key_name=key.name
        )
