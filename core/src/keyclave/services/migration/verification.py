"""Prove a migration again at any later time, from its stored proof and by the keys that still exist (FR-012)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from keyclave.errors import Conflict, IntegrityError, KeyNotFound
from keyclave.models import KeyMigrationRecord, KeyStatus, MigrationStatus, MigrationStrategy, OperationType
from keyclave.services.handles import to_reference
from keyclave.services.instance import Instance
from keyclave.services.keys.validation import validate
from keyclave.services.migration.notes import migration_in
from keyclave.services.migration.places import at_source
from keyclave.services.migration.proof import Proven, Side, prove_again, verify_proof
from keyclave.services.recording import Recorder
from keyclave.services.results import MigrationVerification
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["MigrationVerifier"]

_SHOWN = {
    Proven.BY_SIGNATURES: "both keys signed the challenge that names this migration and both public keys",
    Proven.BY_KEYS_ONLY: "the stored proof is of this migration; a secret key shows the rest by itself",
}
_NEXT_STEP = "Do not retire the source; roll the migration back if the key does not work at its destination."


class MigrationVerifier:
    """Proves migrations again."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def verify(self, migration_id: UUID) -> MigrationVerification:
        """Prove a migration again; see `MigrationService.verify`."""
        with self._recorder.operation(OperationType.VERIFY_MIGRATION, f"migration:{migration_id}") as operation:
            with self._instance.store.read() as state:
                record = migration_in(state, migration_id)
                key = state.keys.by_id(UUID(record.source_key_id))
                old = state.keys.version(key.key_id, record.key_version)
                new = state.keys.version(key.key_id, record.destination_version or record.key_version)
            operation.key_reference, operation.key_version = record.source_key_id, record.key_version
            operation.key_name = record.key_name
            operation.backend_id, operation.backend_type = record.destination_backend_id, record.destination_provider
            if record.cryptographic_proof is None:
                raise Conflict("the migration has no proof yet", key_name=record.key_name, retryable=False)
            proven = verify_proof(
                record.cryptographic_proof, record.strategy, migration_id, old.public_key, new.public_key
            )
            looks = (_SHOWN[proven], *self._live(record, key, old, new))
            self._instance.audit.append(operation.success())
        return MigrationVerification(migration=record, looks=looks)

    def _live(
        self, record: KeyMigrationRecord, key: StoredKey, old: StoredVersion, new: StoredVersion
    ) -> Iterator[str]:
        """Let the keys that exist show what they are, and yield what they showed."""
        if record.status is MigrationStatus.ROLLED_BACK:
            yield f"it was rolled back since: backend {record.source_backend_id!r} keeps the key"
        if record.status is not MigrationStatus.COMPLETED:
            return
        if new.status is KeyStatus.REVOKED or new.destroyed_at is not None:
            yield "the key is out of use, and was not asked"
        else:
            backend = self._instance.backend_of(new)
            validate(key, new, backend, next_step=_NEXT_STEP)
            side = Side(backend=backend, reference=to_reference(key, new), public_key=new.public_key)
            prove_again(record.cryptographic_proof or b"", destination=side)
            yield f"backend {backend.id!r} has the key, which did what was asked of it now"
        if old.destroyed_at is not None and record.strategy is MigrationStrategy.REKEYED:
            yield f"version {old.version} was destroyed in backend {old.backend_id!r}, once it need not be kept"
        elif record.retired_at is None:
            yield self._look_at_source(record, key, at_source(record, old))

    def _look_at_source(self, record: KeyMigrationRecord, key: StoredKey, version: StoredVersion) -> str:
        source = self._instance.backend_of(version)
        reference = to_reference(key, version)
        try:
            found = source.find_key(reference.label)
            public_key = None if version.public_key is None else source.public_key(found).spki
        except KeyNotFound:
            found = None
        if found is None:
            raise IntegrityError(
                "the source key is gone before it was retired", backend_id=source.id, next_step=_NEXT_STEP
            )
        if (found, public_key) != (reference, version.public_key):
            raise IntegrityError(
                "the source has another key in its place", backend_id=source.id, next_step=_NEXT_STEP
            )
        return f"backend {source.id!r} keeps the source key until {record.source_retained_until:%Y-%m-%d} at least"
