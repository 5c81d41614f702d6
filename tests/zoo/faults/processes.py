"""Backends that forget that there are other processes, or that theirs may fork or be killed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.errors import BackendUnavailable, KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    Encrypted,
    KeyLabel,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave_software.sealed import KeyHeader, SealedKey
from pydantic import SecretBytes

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({98: "made is not found within"})
class ReadsItsStoreOnce(ZooSoftware):
    """Knows the keys that were there when it was opened, and those that it made itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.known = {key.label for key in super().list_keys(None).keys}

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        self.known.add(request.label)
        return super().create_key(request)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label not in self.known:
            raise KeyNotFound("no key has this label")
        return super().find_key(label)


@fault({98: "disabled still works"})
class LooksAtAKeyOnce(ZooSoftware):
    """Keeps a key in memory for as long as it is open, whatever becomes of it in the store."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self._loaded.get(key).valid_until = float("inf")
        return super().sign(key, data, scheme)


@fault({101: "creating a key after a process was killed raised"})
class LockFileStays(ZooSoftware):
    """Locks its store with a file that is there or not, which nobody removes for a process that was killed."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        with self.locked():
            return super().create_key(request)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        with self.locked():
            return super().destroy_key(key)

    @contextmanager
    def locked(self) -> Iterator[None]:
        path = self._directory / "lock"
        end = time.monotonic() + 0.5
        while True:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                break
            if time.monotonic() >= end:
                raise BackendUnavailable("the store is locked")
            time.sleep(0.001)
        try:
            yield
        finally:
            path.unlink()


@fault({102: "did not answer within"})
class WorksInAThreadOfItsOwn(ZooSoftware):
    """Makes every signature in one thread, which the child of a fork does not have."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.thread = ThreadPoolExecutor(1)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return self.thread.submit(super().sign, key, data, scheme).result()

    def close(self) -> None:
        self.thread.shutdown()
        super().close()


@fault({102: "with the same keystream"})
class CountsItsNonces(ZooSoftware):
    """Counts nonces from a random start, which the child of a fork goes on from as well."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.nonces = count(int.from_bytes(os.urandom(11), "big"))

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        cipher = self._loaded.get(key).cipher
        assert cipher is not None
        nonce = next(self.nonces).to_bytes(12, "big")
        return Encrypted(ciphertext=b"\x01" + nonce + cipher.encrypt(nonce, plaintext, aad))


@fault({102: "made the same key"})
class SeedsItsGeneratorOnce(ZooSoftware):
    """Draws keys from a generator of its own, seeded when it is opened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.generator = random.Random(os.urandom(32))

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.algorithm == "ECDSA_P256":
            private = ec.derive_private_key(self.generator.getrandbits(255) + 1, ec.SECP256R1())
            encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
            secret = SecretBytes(private.private_bytes(encoding, form, serialization.NoEncryption()))
            header = KeyHeader(
                label=str(request.label),
                algorithm=request.algorithm,
                exportable=request.exportable,
                created_at=datetime.now(UTC),
            )
            self._keystore.add(SealedKey(header, secret))
        return super().create_key(request)
