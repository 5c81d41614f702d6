"""Encrypt and decrypt: a fresh data key for each message, wrapped by the key in its backend."""

from __future__ import annotations

import io
from typing import BinaryIO

from pydantic import SecretBytes

from keyclave.audit.log import Guard
from keyclave.backends.backend import Backend
from keyclave.crypto.envelope import EnvelopeHeader, decrypt_stream, encrypt_stream, read_header
from keyclave.errors import DecryptionFailed, InvalidArgument, KeyDisabled, KeyNotFound
from keyclave.models import KeyOperation, KeyStatus, OperationType, get_algorithm
from keyclave.plugin import KeyReference
from keyclave.services.handles import current, to_reference
from keyclave.services.instance import Instance
from keyclave.services.levels import require_level
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Encryption"]


class Encryption:
    """Encrypts with the active version of a key, and decrypts with the version that a ciphertext names."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def encrypt(self, name: str, plaintext: bytes, aad: bytes | None) -> bytes:
        """Encrypt bytes; see `KeyService.encrypt`."""
        target = io.BytesIO()
        self.encrypt_stream(name, io.BytesIO(_as_bytes(plaintext, "plaintext")), target, aad)
        return target.getvalue()

    def decrypt(self, name: str, ciphertext: bytes, aad: bytes | None) -> bytes:
        """Decrypt bytes; see `KeyService.decrypt`."""
        target = io.BytesIO()
        self.decrypt_stream(name, io.BytesIO(_as_bytes(ciphertext, "ciphertext")), target, aad)
        return target.getvalue()

    def encrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, aad: bytes | None) -> None:
        """Encrypt a file; see `KeyService.encrypt_stream`."""
        with self._recorder.operation(OperationType.ENCRYPT, name_reference(name)) as operation:
            key, version, epoch = self._active(name)
            backend, reference = self._open(key, version, operation)
            require_level(key, backend)

            def wrap(data_key: SecretBytes, context: bytes) -> bytes:
                wrapped = backend.encrypt(reference, data_key.get_secret_value(), context)
                operation.provider_reference = wrapped.provider_reference
                return wrapped.ciphertext

            encrypt_stream(source, target, key_id=key.key_id, version=version.version, wrap_data_key=wrap, aad=aad)
            guard = Guard(epoch=epoch, key_id=key.key_id, version=version.version)
            self._instance.audit.append(operation.success(), guard)

    def decrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, aad: bytes | None) -> None:
        """Decrypt a file; see `KeyService.decrypt_stream`."""
        with self._recorder.operation(OperationType.DECRYPT, name_reference(name)) as operation:
            header = read_header(source)
            key, version, epoch = self._named(name, header)
            backend, reference = self._open(key, version, operation)

            def unwrap(wrapped: bytes, context: bytes) -> SecretBytes:
                opened = backend.decrypt(reference, wrapped, context)
                operation.provider_reference = opened.provider_reference
                return SecretBytes(opened.plaintext)

            decrypt_stream(source, target, header, unwrap_data_key=unwrap, aad=aad)
            guard = Guard(epoch=epoch, key_id=key.key_id, version=version.version)
            self._instance.audit.append(operation.success(), guard)

    def _active(self, name: str) -> tuple[StoredKey, StoredVersion, int]:
        require_name(name)
        with self._instance.store.read() as state:
            key = _encryption_key(state.keys.by_name(name))
            version, epoch = current(state.keys.versions(key.key_id)), state.epoch
        if version.status is not KeyStatus.ACTIVE:
            raise KeyDisabled(f"version {version.version} is {version.status.value}", key_name=name)
        return key, version, epoch

    def _named(self, name: str, header: EnvelopeHeader) -> tuple[StoredKey, StoredVersion, int]:
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
        return key, version, epoch

    def _open(self, key: StoredKey, version: StoredVersion, operation: Operation) -> tuple[Backend, KeyReference]:
        operation.key_reference, operation.key_version = str(key.key_id), version.version
        operation.backend_id, operation.backend_type = version.backend_id, version.backend_type
        return self._instance.backends.get(version.backend_id), to_reference(key, version)


def _encryption_key(key: StoredKey) -> StoredKey:
    if KeyOperation.ENCRYPT not in get_algorithm(key.algorithm).operations:
        raise InvalidArgument(
            f"a key of algorithm {key.algorithm} signs, it does not encrypt",
            key_name=key.name,
            next_step="Create a key of algorithm AES_256 for encryption.",
        )
    return key


def _as_bytes(data: object, what: str) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgument(f"{what} must be bytes, not {type(data).__name__}")
    return bytes(data)
