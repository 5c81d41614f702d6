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
from keyclave.models import KeyStatus, OperationType, get_algorithm, scheme_for
from keyclave.plugin import Record
from keyclave.services.bindings import Bindings, Wanted
from keyclave.services.instance import Instance
from keyclave.services.names import key_name_of, name_reference, require_name, require_version
from keyclave.services.recording import Recorder
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Verifier"]

_Check = Callable[[bytes, bytes], None]


class _Bound(Record, frozen=True, kw_only=True):
    """The versions of a key, ready to verify with one scheme: the active one first, then the newest."""

    key: StoredKey
    epoch: int
    scheme: str
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
        if bound is None:
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
        chosen = scheme_for(get_algorithm(key.algorithm), scheme).name
        bound = _Bound(
            key=key,
            epoch=epoch,
            scheme=chosen,
            trusted=_checks(versions, chosen, prehashed=prehashed, revoked=False),
            revoked=_checks(versions, chosen, prehashed=prehashed, revoked=True),
        )
        return self._bindings.put(wanted, epoch, bound)


def _checks(
    versions: tuple[StoredVersion, ...], scheme: str, *, prehashed: bool, revoked: bool
) -> tuple[tuple[int, _Check], ...]:
    wanted = [v for v in versions if (v.status is KeyStatus.REVOKED) is revoked and v.public_key is not None]
    wanted.sort(key=lambda v: (v.status is KeyStatus.ACTIVE, v.version), reverse=True)
    return tuple(
        (v.version, bind_verifier(load_public_key(v.public_key or b""), scheme, prehashed=prehashed)) for v in wanted
    )


def _check(bound: _Bound, data: bytes, signature: bytes) -> int:
    for version, check in bound.trusted:
        try:
            check(data, signature)
        except InvalidSignature:
            continue
        return version
    for version, check in bound.revoked:
        try:
            check(data, signature)
        except InvalidSignature:
            continue
        raise KeyDisabled(
            f"version {version}, which made this signature, is revoked",
            key_name=bound.key.name,
            next_step="Do not trust the signature: whoever has the revoked key could have made it.",
        )
    raise InvalidSignature("no version of the key made this signature over this data", key_name=bound.key.name)
