"""Encrypt and decrypt: a fresh data key for each message, wrapped by the key in its backend."""

from __future__ import annotations

from time import monotonic
from typing import BinaryIO
from uuid import UUID

from pydantic import SecretBytes

from keyclave.audit.log import Guard, StaleKey
from keyclave.backends.backend import Backend
from keyclave.crypto.envelope import (
    EnvelopeHeader,
    UnwrapDataKey,
    WrapDataKey,
    decrypt_bytes,
    decrypt_stream,
    encrypt_bytes,
    encrypt_stream,
    parse_header,
    read_header,
)
from keyclave.errors import DecryptionFailed, InvalidArgument, KeyDisabled, KeyNotFound
from keyclave.models import KeyOperation, KeyStatus, OperationType, get_algorithm
from keyclave.plugin import KeyReference, Record
from keyclave.services.handles import current, to_reference
from keyclave.services.instance import Instance
from keyclave.services.keys.bindings import Bindings
from keyclave.services.keys.levels import require_level
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Encryption"]


_GONE = (KeyDisabled, KeyNotFound)
"""What a backend says of a key that went elsewhere."""


class _Bound(Record, frozen=True, kw_only=True):
    """A key version, ready to wrap and unwrap data keys."""

    key_id: UUID
    version: int
    backend: Backend
    reference: KeyReference
    guard: Guard


class Encryption:
    """Encrypts with the active version of a key, and decrypts with the version that a ciphertext names."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder
        self._bindings: Bindings[tuple[str, int | None], _Bound] = Bindings(instance.epoch)

    def encrypt(self, name: str, plaintext: bytes, aad: bytes | None) -> bytes:
        """Encrypt bytes; see `KeyService.encrypt`."""
        try:
            return self._encrypt_once(name, plaintext, aad)
        except StaleKey:
            # The key changed after it was bound: before the record was durable, or so that its backend refused it.
            # The ciphertext, if there was one, was dropped.
            self._instance.epoch.invalidate()
        return self._encrypt_once(name, plaintext, aad)

    def _encrypt_once(self, name: str, plaintext: bytes, aad: bytes | None) -> bytes:
        with self._recorder.operation(OperationType.ENCRYPT, name_reference(name)) as operation:
            bound = self._bindings.get((name, None), monotonic()) or self._active(name)
            wrap = _wrapping(bound, operation)
            try:
                sealed = encrypt_bytes(
                    plaintext, key_id=bound.key_id, version=bound.version, wrap_data_key=wrap, aad=aad
                )
            except _GONE:
                self._instance.epoch.refuse_stale(bound.guard.epoch)
                raise
            self._instance.audit.append(operation.success(), bound.guard)
        return sealed

    def decrypt(self, name: str, ciphertext: bytes, aad: bytes | None) -> bytes:
        """Decrypt bytes; see `KeyService.decrypt`."""
        with self._recorder.operation(OperationType.DECRYPT, name_reference(name)) as operation:
            header = parse_header(ciphertext)
            bound = self._bindings.get((name, header.version), monotonic())
            if bound is None or bound.key_id != header.key_id:
                bound = self._named(name, header)
            try:
                opened = decrypt_bytes(ciphertext, header, unwrap_data_key=_unwrapping(bound, operation), aad=aad)
            except _GONE:
                if not self._instance.epoch.has_risen(bound.guard.epoch):
                    raise
                opened = None
            if opened is None:  # the key went elsewhere since it was bound
                bound = self._named(name, header)
                opened = decrypt_bytes(ciphertext, header, unwrap_data_key=_unwrapping(bound, operation), aad=aad)
            self._instance.audit.append(operation.success(), bound.guard)
        return opened

    def encrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, aad: bytes | None) -> None:
        """Encrypt a file; see `KeyService.encrypt_stream`."""
        with self._recorder.operation(OperationType.ENCRYPT, name_reference(name)) as operation:
            bound = self._active(name)
            wrap = _wrapping(bound, operation)
            encrypt_stream(source, target, key_id=bound.key_id, version=bound.version, wrap_data_key=wrap, aad=aad)
            self._instance.audit.append(operation.success(), bound.guard)

    def decrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, aad: bytes | None) -> None:
        """Decrypt a file; see `KeyService.decrypt_stream`."""
        with self._recorder.operation(OperationType.DECRYPT, name_reference(name)) as operation:
            header = read_header(source)
            bound = self._named(name, header)
            decrypt_stream(source, target, header, unwrap_data_key=_unwrapping(bound, operation), aad=aad)
            self._instance.audit.append(operation.success(), bound.guard)

    def _active(self, name: str) -> _Bound:
        require_name(name)
        with self._instance.store.read() as state:
            key = _encryption_key(state.keys.by_name(name))
            version, epoch = current(state.keys.versions(key.key_id)), state.epoch
        if version.status is not KeyStatus.ACTIVE:
            raise KeyDisabled(f"version {version.version} is {version.status.value}", key_name=name)
        return self._bindings.put((name, None), epoch, self._bound(key, version, epoch))

    def _named(self, name: str, header: EnvelopeHeader) -> _Bound:
        require_name(name)
        with self._instance.store.read() as state:
            key, epoch = _encryption_key(state.keys.by_name(name)), state.epoch
            if header.key_id != key.key_id:
                raise DecryptionFailed("the ciphertext cannot be decrypted", key_name=name)
            try:
                version = state.keys.version(key.key_id, header.version)
            except KeyNotFound:
                version = None
        if version is None:
            raise DecryptionFailed("the ciphertext cannot be decrypted", key_name=name)
        if version.status is KeyStatus.REVOKED or version.destroyed_at is not None:
            raise KeyDisabled(f"version {version.version} is revoked or destroyed", key_name=name)
        return self._bindings.put((name, version.version), epoch, self._bound(key, version, epoch))

    def _bound(self, key: StoredKey, version: StoredVersion, epoch: int) -> _Bound:
        backend = self._instance.backend_of(version)
        require_level(key, backend)
        return _Bound(
            key_id=key.key_id,
            version=version.version,
            backend=backend,
            reference=to_reference(key, version),
            guard=Guard(epoch=epoch, key_id=key.key_id, version=version.version),
        )


def _wrapping(bound: _Bound, operation: Operation) -> WrapDataKey:
    _note(bound, operation)

    def wrap(data_key: SecretBytes, context: bytes) -> bytes:
        wrapped = bound.backend.encrypt(bound.reference, data_key.get_secret_value(), context)
        operation.provider_reference = wrapped.provider_reference
        return wrapped.ciphertext

    return wrap


def _unwrapping(bound: _Bound, operation: Operation) -> UnwrapDataKey:
    _note(bound, operation)

    def unwrap(wrapped: bytes, context: bytes) -> SecretBytes:
        opened = bound.backend.decrypt(bound.reference, wrapped, context)
        operation.provider_reference = opened.provider_reference
        return SecretBytes(opened.plaintext)

    return unwrap


def _note(bound: _Bound, operation: Operation) -> None:
    operation.key_reference, operation.key_version = str(bound.key_id), bound.version
    operation.backend_id, operation.backend_type = bound.backend.id, bound.backend.provider_type


def _encryption_key(key: StoredKey) -> StoredKey:
    if KeyOperation.ENCRYPT not in get_algorithm(key.algorithm).operations:
        raise InvalidArgument(
            f"a key of algorithm {key.algorithm} signs, it does not encrypt",
            key_name=key.name,
            next_step="Create a key of algorithm AES_256 for encryption.",
        )
    return key
