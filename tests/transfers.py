"""Move a key between two backends of an opened instance, step by step, as a migration does."""

from __future__ import annotations

from uuid import UUID, uuid4

from keyclave import Keyclave
from keyclave.backends.backend import Backend
from keyclave.crypto.algorithms import load_public_key, verification_arguments
from keyclave.models import MigrationStrategy, get_algorithm
from keyclave.plugin import CreatedKey, CreateKeyRequest, ImportTicket, KeyLabel, Record
from keyclave.services.handles import algorithm_of, current, to_reference
from keyclave.services.migration.proof import Side, prove
from keyclave.services.migration.transfer import Carried, begin_transfer, carry, wrapping_key_origin
from keyclave.services.migration.transferability import Transferability, transferability
from keyclave.state.records import StoredKey, StoredVersion
from msgspec import structs

__all__ = ["Move", "Moved", "require_signs"]


class Moved(Record, frozen=True, kw_only=True):
    """A key that has moved, and the proof of it."""

    created: CreatedKey
    integrity_hash: str | None
    proof: bytes
    migration_id: UUID


class Move:
    """What it takes to move one key."""

    def __init__(self, clave: Keyclave, name: str, destination: str) -> None:
        self._clave = clave
        self.key, self.version = self._stored(name)
        self.source = clave._backends.get(self.version.backend_id)
        self.destination = clave._backends.get(destination)
        self.algorithm = algorithm_of(self.key, self.version)
        self.kept: list[str] = []

    def _stored(self, name: str) -> tuple[StoredKey, StoredVersion]:
        with self._clave._store.read() as state:
            key = state.keys.by_name(name)
            return key, current(state.keys.versions(key.key_id))

    def judge(self, *, excepted: bool = False) -> Transferability:
        return transferability(
            self.source,
            self.destination,
            self.key,
            self.version,
            environment_requires=self._clave.environment.required_security_level,
            excepted=excepted,
        )

    def label(self) -> KeyLabel:
        return structs.replace(KeyLabel.parse(self.version.label), operation_id=uuid4())

    def ticket(self) -> ImportTicket:
        method = self.judge().method
        assert method is not None
        return begin_transfer(self.destination, self.label(), self.algorithm, method)

    def carry(self, ticket: ImportTicket, **other: Backend) -> Carried:
        """Carry the key; other backends may stand for source or destination."""
        return carry(
            other.get("source", self.source),
            other.get("destination", self.destination),
            to_reference(self.key, self.version),
            self.version.public_key,
            ticket,
            approved_origin=wrapping_key_origin(self.destination, self.algorithm, ticket.method),
            keep_hash=self.kept.append,
        )

    def side(self) -> Side:
        return Side(
            backend=self.source,
            reference=to_reference(self.key, self.version),
            public_key=self.version.public_key,
        )

    def other_side(self, created: CreatedKey) -> Side:
        return Side(backend=self.destination, reference=created.reference, public_key=created.public_key)

    def wrapped(self) -> Moved:
        """Move the key itself."""
        assert self.judge().strategy is MigrationStrategy.WRAPPED
        carried = self.carry(self.ticket())
        assert self.kept == [carried.integrity_hash]
        return self._proven(MigrationStrategy.WRAPPED, carried.created, carried.integrity_hash)

    def rekeyed(self, *, excepted: bool = False) -> Moved:
        """Let a new key take over."""
        assert self.judge(excepted=excepted).strategy is MigrationStrategy.REKEYED
        request = CreateKeyRequest(label=self.label(), algorithm=self.algorithm, exportable=False)
        return self._proven(MigrationStrategy.REKEYED, self.destination.create_key(request), None)

    def _proven(self, strategy: MigrationStrategy, created: CreatedKey, integrity_hash: str | None) -> Moved:
        migration_id = uuid4()
        proof = prove(strategy, migration_id, self.side(), self.other_side(created))
        return Moved(created=created, integrity_hash=integrity_hash, proof=proof, migration_id=migration_id)


def require_signs(backend: Backend, created: CreatedKey, public_key: bytes | None) -> None:
    """Sign with a key in a backend, and let `cryptography` verify it under a public key."""

    assert public_key is not None
    scheme = get_algorithm(created.reference.algorithm).schemes[0]
    sign = backend.bind_signer(created.reference, public_key, scheme, prehashed=False)
    load_public_key(public_key).verify(sign(b"a message").signature, b"a message", *verification_arguments(scheme))
