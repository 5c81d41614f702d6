"""Backends that say what went wrong in the wrong way."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any, ClassVar

from keyclave.errors import AccessDenied, DecryptionFailed, InvalidArgument, KeyclaveError, KeyNotFound
from keyclave.models import ALGORITHMS
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    KeyLabel,
    KeyReference,
    Signed,
    WrappedKey,
    hookimpl,
)
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({84: r"decrypting .* raised (error|BackendUnavailable)"})
class ShortCiphertextsBreakTheParser(ZooSoftware):
    """Lets the exception escape that a parser raises for a ciphertext without a header."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        struct.unpack_from(">B12s", ciphertext)
        return super().decrypt(key, ciphertext, aad)


@fault({84: "decrypting .* raised InvalidArgument"})
class WrongKindOfError(ZooSoftware):
    """Calls a ciphertext that does not decrypt a bad argument."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        try:
            return super().decrypt(key, ciphertext, aad)
        except DecryptionFailed as error:
            message = error.message
        raise InvalidArgument(message)


@fault({85: "raised KeyNotFound that says it may be repeated"})
class MissingKeysMayComeYet(ZooSoftware):
    """Takes a key that is missing for one that has not arrived yet, and asks to be called again."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound as error:
            error.retryable = True
            raise


@fault({86: "of another instance raised AccessDenied"})
class ForeignKeysAreForbidden(ZooSoftware):
    """Says of keys of another instance that they are not ours, and so that they may be there."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label.instance_id != self._instance_id:
            raise AccessDenied("the key belongs to another instance")
        return super().find_key(label)


@fault({86: "that was destroyed raised InvalidArgument"})
class DestroyedKeysAreRemembered(ZooSoftware):
    """Tells keys that are gone from keys that never were."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made: set[KeyLabel] = set()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        self.made.add(request.label)
        return super().create_key(request)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound:
            if label in self.made:
                raise InvalidArgument("the key was destroyed") from None
            raise


@fault({87: "repeats the caller's data, as it is|repeats the caller's data, escaped"})
class ErrorsQuoteTheData(ZooSoftware):
    """Quotes the data that it cannot sign."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        try:
            return super().sign(key, data, scheme)
        except InvalidArgument:
            raise InvalidArgument(f"{data!r} is not a digest for {scheme}") from None


@fault({87: "repeats the caller's data, in hexadecimal"})
class WrappingKeysAreQuotedInHexadecimal(ZooSoftware):
    """Writes a wrapping key that it cannot read into the error, in hexadecimal."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        try:
            return super().wrap_key(key, wrapping_public_key, method)
        except KeyclaveError:
            raise InvalidArgument(f"no RSA key: {wrapping_public_key.hex()}") from None


@fault({87: "names read_object, where it was find_key"})
class ErrorsNameTheInnerCall(ZooSoftware):
    """Names the call of its library, and not the hook."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound as error:
            raise error.at(operation="read_object") from None


@fault({88: "was refused, and changed the keys"})
class RefusedCreationsLeaveAPlaceholder(ZooSoftware):
    """Reserves the label before it looks at the algorithm."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.algorithm not in ALGORITHMS:
            super().create_key(structs.replace(request, algorithm="AES_256"))
        return super().create_key(request)


@fault({89: r"was refused after 5\.\d s, where Keyclave waits 5 s"})
class RefusalsAreRetried(ZooSoftware):
    """Repeats a decryption that failed, and waits longer each time, as if it were a matter of the network."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        for pause in (0.8, 1.6, 3.2):
            try:
                return super().decrypt(key, ciphertext, aad)
            except DecryptionFailed:
                time.sleep(pause)
        return super().decrypt(key, ciphertext, aad)


@fault({90: "after another handle was closed, this one raised InvalidArgument"})
class ClosingFinalizesTheLibrary(ZooSoftware):
    """Counts nothing: whoever closes first closes the library for all handles of the process."""

    finalized: ClassVar[set[Path]] = set()

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if self._directory in self.finalized:
            raise InvalidArgument("the library is not initialised")
        return super().sign(key, data, scheme)

    def close(self) -> None:
        self.finalized.add(self._directory)
        super().close()
