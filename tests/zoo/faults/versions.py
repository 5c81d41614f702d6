"""Backends that mix the versions of a key up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.errors import InvalidSignature, KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    KeyLabel,
    KeyReference,
    PublicKey,
    Signed,
    hookimpl,
)
from keyclave_contract_tests.sources import CRYPTO
from keyclave_software.keystore import key_name
from keyclave_software.loaded import uri_of
from keyclave_software.sealed import SealedKey
from msgspec import structs

from tests.zoo.fault import fault, verifier_fault
from tests.zoo.software import ZooSoftware


@fault({66: "two versions of a key have one address"})
class VersionsShareAnAddress(ZooSoftware):
    """Addresses a key by its id, and forgets the version."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        return structs.replace(made, reference=_without_version(made.reference))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        return _without_version(super().find_key(label))


@fault({66: "version 1 is not found|version 2 is not found"})
class NewVersionReplacesTheOld(ZooSoftware):
    """Has room for one version of a key."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        for key in super().list_keys(None).keys:
            if key.label.key_id == request.label.key_id and key.label != request.label:
                super().destroy_key(key)
        return super().create_key(request)


@fault({67: "has the material of an older one"})
class NewVersionIsACopy(ZooSoftware):
    """Makes a new version by copying the newest one under its label."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        name = key_name(str(request.label))
        older = [k for k in super().list_keys(None).keys if k.label.key_id == request.label.key_id]
        if older and not self._keystore.has(name):
            header, secret = self._keystore.read(key_name(str(older[0].label)))
            self._keystore.add(SealedKey(structs.replace(header, label=str(request.label)), secret))
        return super().create_key(request)


class _OneHandleForEachKey(ZooSoftware):
    """Remembers one version for each key id. Which one, subclasses say."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.handles: dict[UUID, KeyReference] = {}

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(self.handles.get(key.label.key_id, key), data, scheme)


@fault({68: "asked of version 2 does not verify", 70: "made with the key of version"})
class SignsWithTheFirstVersion(_OneHandleForEachKey):
    """Keeps the handle of the first version, and signs with it for ever."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        self.handles.setdefault(request.label.key_id, made.reference)
        return made


@fault({69: "asked of version [12] does not verify"})
class SignsWithTheNewestVersion(_OneHandleForEachKey):
    """Signs with the newest version, whichever was asked."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        self.handles[request.label.key_id] = made.reference
        return made


@verifier_fault({70: "verifying with the signature of another version succeeded"})
def verifier_tries_every_key_that_it_knows() -> CryptoFunctions:
    known: list[Callable[[bytes, bytes], None]] = []

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Callable[[bytes, bytes], None]:
        known.append(CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed))
        return verify

    def verify(data: bytes, signature: bytes) -> None:
        for one in known:
            try:
                one(data, signature)
            except InvalidSignature:
                continue
            return
        raise InvalidSignature("no key that is known made it")

    return structs.replace(CRYPTO, bind_verifier=bind)


@fault({71: "the ciphertext of an old version was refused"})
class DecryptsWithTheNewestVersion(_OneHandleForEachKey):
    """Looks for the key of a ciphertext among newest versions alone."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        self.handles[request.label.key_id] = made.reference
        return made

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(self.handles.get(key.label.key_id, key), ciphertext, aad)


@fault({72: "finding a version that was never made succeeded"})
class FindsTheNewestInstead(ZooSoftware):
    """Answers with the newest version where the one that was asked for is missing."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound:
            versions = [k for k in super().list_keys(None).keys if k.label.key_id == label.key_id]
            if not versions:
                raise
            return max(versions, key=lambda k: k.label.version)


@fault({73: "while a version was made, using an older one raised KeyDisabled"})
class OldVersionsRestDuringRotation(ZooSoftware):
    """Disables the versions of a key while it makes a new one."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        older = [k for k in super().list_keys(None).keys if k.label.key_id == request.label.key_id]
        for key in older:
            super().disable_key(key)
        time.sleep(0.02)  # the device makes the key
        made = super().create_key(request)
        for key in older:
            super().enable_key(key)
        return made


@fault({74: "versions that were made at once, [123] cannot be found"})
class IndexLosesUpdates(ZooSoftware):
    """Reads its index of keys, adds to it, and writes it back, without a lock."""

    index: frozenset[KeyLabel] = frozenset()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        index = self.index
        made = super().create_key(request)
        time.sleep(0.01)  # the index is a file
        self.index = index | {request.label}
        return made

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label not in self.index:
            raise KeyNotFound("the index does not name it")
        return super().find_key(label)


@fault({75: "the public key of version [23] is another one"})
class PublicKeysAreCachedByKeyId(ZooSoftware):
    """Caches public keys, and forgets that a key has versions."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.cache: dict[UUID, PublicKey] = {}

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        return self.cache.setdefault(key.label.key_id, super().public_key(key))


@fault({76: "making version 2 again replaced its key"})
class RotationIsExecutedTwice(ZooSoftware):
    """Finds a first version again, and replaces a later one that is asked for again."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.label.version > 1 and self._keystore.has(key_name(str(request.label))):
            super().destroy_key(super().find_key(request.label))
        return super().create_key(request)


@fault({77: "destroying version 2 took version [13] away, too"})
class DestroyTakesTheWholeKey(ZooSoftware):
    """Destroys every version of the key."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        for version in super().list_keys(None).keys:
            if version.label.key_id == key.label.key_id:
                super().destroy_key(version)
        return DestroyResult(state=DestroyState.DESTROYED)


class _Wrapping(ZooSoftware):
    """Counts versions up to a number, and begins anew after it."""

    last: int

    def wrapped(self, label: KeyLabel) -> KeyLabel:
        return structs.replace(label, version=1 + (label.version - 1) % self.last)

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(structs.replace(request, label=self.wrapped(request.label)))
        return structs.replace(made, reference=structs.replace(made.reference, label=request.label))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        return structs.replace(super().find_key(self.wrapped(label)), label=label)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        return super().destroy_key(structs.replace(key, label=self.wrapped(key.label)))


@fault({78: "version 256 is the key of version 1"})
class VersionsBeginAnewAfter255(_Wrapping):
    """Keeps the version, less one, in a byte that may not be 255."""

    last = 255


@fault({78: "version 257 is the key of version 1"})
class VersionsBeginAnewAfter256(_Wrapping):
    """Keeps the version, less one, in a byte."""

    last = 256


@fault({78: "version 6553[67] is the key of version [12]"})
class VersionsBeginAnewAfter65535(_Wrapping):
    """Keeps the version, less one, in two bytes that may not both be 255."""

    last = 65_535


def _without_version(reference: KeyReference) -> KeyReference:
    return structs.replace(reference, uri=uri_of(str(structs.replace(reference.label, version=1))))
