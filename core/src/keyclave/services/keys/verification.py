"""Verify: with the stored public key, in this process. It needs no backend and works when the backend is gone."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import BinaryIO

from keyclave.audit.log import Guard
from keyclave.crypto.algorithms import load_public_key
from keyclave.crypto.streams import digest_stream
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import InvalidArgument, InvalidSignature, KeyclaveError, KeyDisabled
from keyclave.models import KeyStatus, OperationType, SignatureScheme, get_algorithm, scheme_for
from keyclave.plugin import Record
from keyclave.services.handles import algorithm_of
from keyclave.services.instance import Instance
from keyclave.services.keys.bindings import Bindings, Wanted
from keyclave.services.names import key_name_of, name_reference, require_name, require_version
from keyclave.services.recording import Recorder
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Verifier"]

_Check = Callable[[bytes, bytes], None]


class _Bound(Record, frozen=True, kw_only=True):
    """The versions of a key, ready to verify: the active one first, then the newest.

    Attributes:
        scheme: of the first of them.
        digests: the digests that their schemes sign; ``None`` among them for the message itself.
    """

    key: StoredKey
    epoch: int
    scheme: str
    digests: frozenset[str | None]
    trusted: tuple[tuple[int, _Check], ...]
    revoked: tuple[tuple[int, _Check], ...]


class Verifier:
    """Verifies signatures of keys of this instance."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder
        self._audited = instance.audit.enabled
        self._bindings: Bindings[Wanted, _Bound] = Bindings(instance.epoch)

    def verify(self, wanted: Wanted, data: bytes, signature: bytes) -> int:
        """Return the version that made the signature; see `KeyService.verify`."""
        if not self._audited:
            try:
                return _check(self._bindings.get(wanted, monotonic()) or self._bind(wanted), data, signature)
            except KeyclaveError as error:  # `naming`, written out: entering it would cost every verification
                error.at(operation="verify", key_name=key_name_of(wanted[0]))
                raise
        with self._recorder.operation(OperationType.VERIFY, name_reference(wanted[0])) as operation:
            bound = self._bindings.get(wanted, monotonic()) or self._bind(wanted)
            operation.key_reference, operation.key_version = str(bound.key.key_id), wanted[-1]
            version = _check(bound, data, signature)
            operation.key_version = version
            guard = Guard(epoch=bound.epoch, key_id=bound.key.key_id, version=version)
            self._instance.audit.append(operation.success(), guard)
        return version

    def verify_stream(
        self, name: str, source: BinaryIO, signature: bytes, version: int | None, scheme: str | None
    ) -> int:
        """Verify what a file holds, hashing it piece by piece where the scheme signs digests."""
        hashed: Wanted = (name, scheme, True, version)
        with self._recorder.operation(OperationType.VERIFY, name_reference(name)):
            bound = self._bind_digest(hashed)
        if bound is None or len(bound.digests) > 1:
            return self.verify((name, scheme, False, version), source.read(), signature)
        return self.verify(hashed, digest_stream(bound.scheme, source), signature)

    def _bind_digest(self, hashed: Wanted) -> _Bound | None:
        try:
            return self._bindings.get(hashed, monotonic()) or self._bind(hashed)
        except InvalidArgument:
            # The scheme signs messages only; what else is wrong is found again.
            return None

    def _bind(self, wanted: Wanted) -> _Bound:
        name, scheme, prehashed, version = wanted
        require_name(name)
        if version is not None:
            require_version(version)
        with self._instance.store.read() as state:
            epoch = state.epoch
            key = state.keys.by_name(name)
            if version is None:
                versions = state.keys.versions(key.key_id)
            else:
                versions = (state.keys.version(key.key_id, version),)
        schemes = _schemes(key, versions, scheme)
        bound = _Bound(
            key=key,
            epoch=epoch,
            scheme=schemes[0][1].name,
            digests=frozenset(chosen.digest for _, chosen in schemes),
            trusted=_checks(schemes, prehashed=prehashed, revoked=False),
            revoked=_checks(schemes, prehashed=prehashed, revoked=True),
        )
        return self._bindings.put(wanted, epoch, bound)


def _schemes(
    key: StoredKey, versions: tuple[StoredVersion, ...], scheme: str | None
) -> list[tuple[StoredVersion, SignatureScheme]]:
    """Return the versions that may have signed, each with its scheme: a rotation may have changed the algorithm.

    Raises:
        InvalidArgument: none of them signs with the named scheme.
    """
    possible, refused = [], None
    for version in sorted(versions, key=lambda v: (v.status is KeyStatus.ACTIVE, v.version), reverse=True):
        try:
            possible.append((version, scheme_for(get_algorithm(algorithm_of(key, version)), scheme)))
        except InvalidArgument as error:
            refused = refused or error
    if not possible and refused is not None:
        raise refused
    return possible


def _checks(
    schemes: list[tuple[StoredVersion, SignatureScheme]], *, prehashed: bool, revoked: bool
) -> tuple[tuple[int, _Check], ...]:
    checks, refused = [], None
    for version, scheme in schemes:
        if (version.status is KeyStatus.REVOKED) is not revoked or version.public_key is None:
            continue
        public_key = load_public_key(version.public_key)
        try:
            checks.append((version.version, bind_verifier(public_key, scheme.name, prehashed=prehashed)))
        except InvalidArgument as error:
            refused = refused or error
    if not checks and refused is not None:
        raise refused
    return tuple(checks)


def _check(bound: _Bound, data: bytes, signature: bytes) -> int:
    refused: list[KeyclaveError] = []
    for version, check in bound.trusted:
        try:
            check(data, signature)
        except (InvalidSignature, InvalidArgument) as error:
            refused.append(error)
            continue
        return version
    for version, check in bound.revoked:
        try:
            check(data, signature)
        except (InvalidSignature, InvalidArgument) as error:
            refused.append(error)
            continue
        raise KeyDisabled(
            f"version {version}, which made this signature, is revoked",
            key_name=bound.key.name,
            next_step="Do not trust the signature: whoever has the revoked key could have made it.",
        )
    if refused and all(isinstance(error, InvalidArgument) for error in refused):
        raise refused[0]  # no version takes data like this, not: no version signed it
    raise InvalidSignature("no version of the key made this signature over this data", key_name=bound.key.name)
