"""Backends that serve one caller at a time, and do not know it."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from keyclave.errors import CapabilityUnsupported, KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    Encrypted,
    KeyLabel,
    KeyPage,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave_software.keystore import key_name

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_SLOW = 0.005
"""Seconds that a device takes for what is done in between."""


@fault({10: "older ones were not listed"})
class ListIsEmptyWhileItIsRebuilt(ZooSoftware):
    """Empties its index and fills it again whenever a key is made."""

    index: frozenset[KeyLabel] = frozenset()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        self.index = frozenset()
        time.sleep(_SLOW)
        self.index = frozenset(key.label for key in super().list_keys(None).keys)
        return made

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        return KeyPage(keys=tuple(key for key in super().list_keys(page).keys if key.label in self.index))


@fault({96: "does not verify under the key's public key"})
class ThreadsShareABuffer(ZooSoftware):
    """Puts what is to be signed into one buffer of the handle, and signs what is in it a little later."""

    buffer = b""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.buffer = data
        time.sleep(_SLOW)
        return super().sign(key, self.buffer, scheme)


@fault({96: "a thread got back another plaintext"})
class ThreadsShareAPlaintext(ZooSoftware):
    """The same, where it encrypts."""

    buffer = b""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        self.buffer = plaintext
        time.sleep(_SLOW)
        return super().encrypt(key, self.buffer, aad)


@fault({97: "does not verify under the key's public key"})
class HandlesShareASession(ZooSoftware):
    """Guards its session by a lock of the handle, though all handles of a process have one session."""

    session: ClassVar[dict[Path, bytes]] = {}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lock = threading.Lock()

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        with self.lock:
            self.session[self._directory] = data
            time.sleep(_SLOW)
            return super().sign(key, self.session[self._directory], scheme)


@fault({98: "a key of another process is not found"})
class KeysAreReadAtTheStart(ZooSoftware):
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
            raise KeyNotFound("no key of this label")
        return super().find_key(label)


@fault({98: "another process still uses a key"})
class LoadedKeysAreUsedForEver(ZooSoftware):
    """Looks at a key once, and never again."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self._loaded.get(key).valid_until = float("inf")
        return super().sign(key, data, scheme)


@fault({99: "gave [234] keys"})
class CreateLooksAndThenActs(ZooSoftware):
    """Looks whether the label is taken, and makes the key a little later."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if not self._keystore.has(key_name(str(request.label))):
            time.sleep(_SLOW)
            self._keystore.remove(key_name(str(request.label)))
        return super().create_key(request)


@fault({100: "no order of the calls on one key explains"})
class DestroyAnswersTooEarly(ZooSoftware):
    """Leaves the work to a thread, and says that it is done."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.work: list[threading.Thread] = []

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        def later() -> None:
            time.sleep(_SLOW)
            ZooSoftware.destroy_key(self, key)

        self.work.append(threading.Thread(target=later))
        self.work[-1].start()
        return DestroyResult(state=DestroyState.DESTROYED)

    def close(self) -> None:
        for thread in self.work:
            thread.join()
        super().close()


@fault({101: "others were kept waiting for 10 s"})
class RefusalsKeepTheLock(ZooSoftware):
    """Returns its lock after a signature, and not after a refusal."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lock = threading.Lock()

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if not self.lock.acquire(timeout=15):
            raise CapabilityUnsupported("all sessions are in use")
        signed = super().sign(key, data, scheme)
        self.lock.release()
        return signed


@fault({102: "a process and its fork made the same ciphertext"})
class ForksShareTheGenerator(ZooSoftware):
    """Draws nonces from a generator in the memory of the process, which a fork copies."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.generator = random.Random()

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        cipher = self._loaded.get(key).cipher
        if cipher is None:
            raise CapabilityUnsupported("the key does not encrypt")
        nonce = self.generator.randbytes(12)
        return Encrypted(ciphertext=b"\x01" + nonce + cipher.encrypt(nonce, plaintext, aad))
