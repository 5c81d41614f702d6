"""Sign: resolve key, version and backend once, then call straight through.

Order: the backend signs, the signature is verified where it came from a device or a network, its audit record
becomes durable, and only then is it released. During the validation period of a rotation the version that is to
follow signs as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import BinaryIO
from uuid import UUID

from msgspec import structs
from opentelemetry import metrics

from keyclave.audit.log import Guard, StaleKey
from keyclave.crypto.streams import digest_stream
from keyclave.errors import (
    CapabilityUnsupported,
    Conflict,
    IntegrityError,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
)
from keyclave.models import (
    SLOW_SIGNATURE,
    KeyStatus,
    OperationType,
    get_algorithm,
    get_signature_scheme,
    scheme_for,
)
from keyclave.plugin import Record, Signed
from keyclave.services.handles import algorithm_of, current, to_reference
from keyclave.services.instance import Instance
from keyclave.services.keys.bindings import Bindings, Wanted
from keyclave.services.keys.levels import require_level
from keyclave.services.names import key_name_of, name_reference, require_name
from keyclave.services.recording import Recorder
from keyclave.services.results import SignResult, VersionSignature
from keyclave.services.rotation.rollback import Rollback
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["BoundVersion", "Signer", "signing_version"]

_SLOW_SECONDS = SLOW_SIGNATURE.total_seconds()
_REASON_LIMIT = 1024
_GONE = (KeyDisabled, KeyNotFound)
"""What a backend says of a key that went elsewhere."""
_NOT_VALID = (IntegrityError, KeyNotFound, KeyDisabled, CapabilityUnsupported)
"""What a version under validation shows itself unfit by."""
_log = logging.getLogger("keyclave.signing")
_slow_signatures = metrics.get_meter("keyclave").create_counter(
    "keyclave.signatures.slow", description="Signatures that took longer than 500 ms (NFR-007)"
)


class BoundVersion(Record, frozen=True, kw_only=True):
    """A key version, ready to sign with one scheme.

    Attributes:
        successor: the version under validation, which signs the same.
        left_out: whether there is one that cannot sign this digest.
    """

    sign: Callable[[bytes], Signed]
    scheme: str
    key_id: UUID
    version: int
    backend_id: str
    backend_type: str
    guard: Guard
    successor: BoundVersion | None = None
    left_out: bool = False


class Signer:
    """Signs with the active version of a key."""

    def __init__(self, instance: Instance, recorder: Recorder, rollback: Rollback) -> None:
        self._instance = instance
        self._rollback = rollback
        self._recorder = recorder
        self._audited = instance.audit.enabled
        self._bindings: Bindings[Wanted, BoundVersion] = Bindings(instance.epoch)

    def sign(self, wanted: Wanted, data: bytes) -> SignResult:
        """Sign ``data``. A wanted version is the only one that may sign. See `KeyService.sign`."""
        sign = self._sign_audited if self._audited else self._sign_unaudited
        try:
            return sign(wanted, data)
        except StaleKey:
            # The key changed after it was bound: before its record was durable, or so that its backend refused it.
            # The signature, if there was one, was dropped.
            self._instance.epoch.invalidate()
        return sign(wanted, data)

    def _sign_unaudited(self, wanted: Wanted, data: bytes) -> SignResult:
        started = monotonic()
        bound: BoundVersion | None = None
        try:
            bound = self._bindings.get(wanted, started) or self._bind(wanted)
            signed = bound.sign(data)
            successor = None if bound.successor is None else self._sign_beside(wanted[0], bound.successor, data)
        except KeyclaveError as error:  # `naming`, written out: entering it would cost every signature
            if bound is not None and isinstance(error, _GONE):
                self._instance.epoch.refuse_stale(bound.guard.epoch)
            error.at(
                operation="sign",
                backend_id=None if bound is None else bound.backend_id,
                key_name=key_name_of(wanted[0]),
            )
            raise
        if monotonic() - started > _SLOW_SECONDS:
            _report_slow(bound)
        return SignResult(
            signature=signed.signature,
            scheme=bound.scheme,
            key_id=bound.key_id,
            version=bound.version,
            backend_id=bound.backend_id,
            audit_reference=None,
            successor=successor,
        )

    def sign_stream(self, name: str, source: BinaryIO, scheme: str | None) -> SignResult:
        """Sign what a file holds, hashing it piece by piece where the backend signs digests."""
        return self.sign(*self.take_stream(name, source, scheme))

    def take_stream(self, name: str, source: BinaryIO, scheme: str | None) -> tuple[Wanted, bytes]:
        """Read a file, after the key was found in its backend, and return what ``sign`` needs to sign it."""
        hashed: Wanted = (name, scheme, True, None)
        with self._recorder.operation(OperationType.SIGN, name_reference(name)):
            bound = self._bind_digest(hashed)
        if bound is None or bound.left_out:
            return (name, scheme, False, None), source.read()
        return hashed, digest_stream(bound.scheme, source)

    def _bind_digest(self, hashed: Wanted) -> BoundVersion | None:
        try:
            return self._bindings.get(hashed, monotonic()) or self._bind(hashed)
        except (CapabilityUnsupported, InvalidArgument):
            # The backend or the scheme signs messages only; what else is wrong is found again.
            return None

    def _sign_audited(self, wanted: Wanted, data: bytes) -> SignResult:
        with self._recorder.operation(OperationType.SIGN, name_reference(wanted[0])) as operation:
            started = monotonic()
            bound = self._bindings.get(wanted, started) or self._bind(wanted)
            operation.key_reference, operation.key_version = str(bound.key_id), bound.version
            operation.backend_id, operation.backend_type = bound.backend_id, bound.backend_type
            try:
                signed = bound.sign(data)
            except _GONE:
                self._instance.epoch.refuse_stale(bound.guard.epoch)
                raise
            if monotonic() - started > _SLOW_SECONDS:
                _report_slow(bound)
            operation.provider_reference = signed.provider_reference
            reference = self._instance.audit.append(operation.success(), bound.guard)
        successor = None if bound.successor is None else self._sign_beside(wanted[0], bound.successor, data)
        return SignResult(
            signature=signed.signature,
            scheme=bound.scheme,
            key_id=bound.key_id,
            version=bound.version,
            backend_id=bound.backend_id,
            audit_reference=reference,
            successor=successor,
        )

    def _sign_beside(self, name: str, bound: BoundVersion, data: bytes) -> VersionSignature | None:
        """Sign with the version under validation. One that cannot is rolled back: that is what the period is for.

        What may pass, as an unavailable backend, fails the call like any other signature.
        """
        try:
            with self._recorder.operation(OperationType.SIGN, name_reference(name)) as operation:
                operation.key_reference, operation.key_version = str(bound.key_id), bound.version
                operation.backend_id, operation.backend_type = bound.backend_id, bound.backend_type
                signed = bound.sign(data)
                operation.provider_reference = signed.provider_reference
                reference = self._instance.audit.append(operation.success(), bound.guard)
        except _NOT_VALID as error:
            failure = error
        else:
            return VersionSignature(
                signature=signed.signature,
                scheme=bound.scheme,
                version=bound.version,
                backend_id=bound.backend_id,
                audit_reference=reference,
            )
        self._give_up(name, bound.version, failure)
        return None

    def _give_up(self, name: str, version: int, failure: KeyclaveError) -> None:
        """Roll back this version and no other: somebody may have given it up already, and rotated again."""
        reason = f"it failed its validation: {failure.message}"[:_REASON_LIMIT]
        try:
            self._rollback.rollback(name, reason, version=version)
        except Conflict as ended:
            _log.warning("version %d of key %r did not sign: %s; %s", version, name, failure, ended)
            return
        except KeyclaveError as error:
            _log.warning("version %d of key %r is not given up yet: %s", version, name, error)
        finally:
            self._instance.epoch.invalidate()
        _log.error("version %d of key %r failed its validation and is given up: %s", version, name, failure)

    def _bind(self, wanted: Wanted) -> BoundVersion:
        name, scheme, prehashed, version = wanted
        require_name(name)
        with self._instance.store.read() as state:
            epoch = state.epoch
            key, stored = signing_version(state, name, version)
            versions = () if version is not None else state.keys.versions(key.key_id)
        bound = self._bind_version(key, stored, scheme, epoch, prehashed=prehashed)
        for other in versions:
            if other.validation_ends_at is not None:
                bound = self._with_successor(bound, key, other, prehashed=prehashed)
        return self._bindings.put(wanted, epoch, bound)

    def _with_successor(
        self, bound: BoundVersion, key: StoredKey, version: StoredVersion, *, prehashed: bool
    ) -> BoundVersion:
        """Let the version under validation sign beside; with the same scheme where its algorithm has it."""
        algorithm = get_algorithm(algorithm_of(key, version))
        scheme = scheme_for(algorithm, bound.scheme if bound.scheme in algorithm.schemes else None)
        if prehashed and scheme.digest != get_signature_scheme(bound.scheme).digest:
            return structs.replace(bound, left_out=True)
        try:
            successor = self._bind_version(key, version, scheme.name, bound.guard.epoch, prehashed=prehashed)
        except CapabilityUnsupported:
            if not prehashed:
                raise
            return structs.replace(bound, left_out=True)  # its backend hashes messages itself
        return structs.replace(bound, successor=successor)

    def _bind_version(
        self, key: StoredKey, stored: StoredVersion, scheme: str | None, epoch: int, *, prehashed: bool
    ) -> BoundVersion:
        chosen = scheme_for(get_algorithm(algorithm_of(key, stored)), scheme).name
        backend = self._instance.backend_of(stored)
        require_level(key, backend)
        return BoundVersion(
            sign=backend.bind_signer(to_reference(key, stored), stored.public_key, chosen, prehashed=prehashed),
            scheme=chosen,
            key_id=key.key_id,
            version=stored.version,
            backend_id=backend.id,
            backend_type=backend.provider_type,
            guard=Guard(epoch=epoch, key_id=key.key_id, version=stored.version),
        )


def signing_version(state: Transaction, name: str, version: int | None) -> tuple[StoredKey, StoredVersion]:
    """Return a key and its active version, which must be the wanted one if one is wanted."""
    key = state.keys.by_name(name)
    active = current(state.keys.versions(key.key_id))
    if active.status is not KeyStatus.ACTIVE:
        raise KeyDisabled(f"version {active.version} is {active.status.value}", key_name=name)
    if version is not None and version != active.version:
        raise Conflict(
            f"version {version} no longer signs, version {active.version} does",
            key_name=name,
            next_step="Get the private key again, and renew what names the old public key.",
            retryable=False,
        )
    return key, active


def _report_slow(bound: BoundVersion) -> None:
    """NFR-007: a signature slower than 500 ms is a warning and is counted."""
    _log.warning(
        "NFR-007: a signature by backend %r took longer than %d ms",
        bound.backend_id,
        _SLOW_SECONDS * 1000,
    )
    _slow_signatures.add(1, {"backend": bound.backend_id})
