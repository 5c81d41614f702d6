"""Backends that encrypt or decrypt wrongly."""

from __future__ import annotations

import itertools
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import DecryptionFailed, InvalidArgument
from keyclave.plugin import BackendDescription, Decrypted, Encrypted, KeyReference, hookimpl
from keyclave_software.limits import MAX_PLAINTEXT
from keyclave_software.loaded import name_of
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_NONCE, _TAG = 12, 16
_HEAD = 1 + _NONCE


class _OwnFormat(ZooSoftware):
    """A right backend with parts to be replaced: AES-256-GCM, as version, nonce, ciphertext and tag."""

    def secret(self, key: KeyReference) -> bytes:
        return self._keystore.read(name_of(key)).secret.get_secret_value()

    def nonce(self) -> bytes:
        return os.urandom(_NONCE)

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        if len(plaintext) > MAX_PLAINTEXT:
            raise InvalidArgument(f"the plaintext has more than {MAX_PLAINTEXT} bytes")
        nonce = self.nonce()
        return Encrypted(ciphertext=b"\x01" + nonce + AESGCM(self.secret(key)).encrypt(nonce, plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(key, ciphertext, aad)


@fault({41: "came back"})
class PlaintextAsCString(ZooSoftware):
    """Takes zeros at the end of the plaintext for padding."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return Decrypted(plaintext=super().decrypt(key, ciphertext, aad).plaintext.rstrip(b"\x00"))


@fault({41: "12345 bytes were encrypted, and 12344 came back"}, budget="deep")
class LosesAByteAtOneLength(ZooSoftware):
    """Loses the last byte of plaintexts of one single length."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, plaintext[:-1] if len(plaintext) == 12_345 else plaintext, aad)


@fault({42: "other associated data succeeded"})
class IgnoresAssociatedData(ZooSoftware):
    """Takes associated data, and does nothing with it."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, plaintext, b"")

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(key, ciphertext, b"")


@fault({42: "does not bind succeeded"})
class DropsWhatItCannotBind(IgnoresAssociatedData):
    """Says that it binds no associated data, and drops it without a word."""

    @hookimpl
    def describe(self) -> BackendDescription:
        whole = super().describe()
        return structs.replace(
            whole, algorithms=tuple(structs.replace(support, binds_aad=False) for support in whole.algorithms)
        )


@fault({42: "other associated data succeeded"})
class StripsAssociatedData(ZooSoftware):
    """Sends associated data in a header of HTTP, which loses blanks at its ends."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, plaintext, aad.strip())

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(key, ciphertext, aad.strip())


@fault({42: "other associated data succeeded"})
class AssociatedDataIsCut(ZooSoftware):
    """Has a field of 255 bytes for associated data, and sends as much as has room."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, plaintext, aad[:255])

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(key, ciphertext, aad[:255])


@fault({43: "or the reverse, succeeded"})
class AssociatedDataBeforeThePlaintext(ZooSoftware):
    """Encrypts associated data and plaintext as one text, and looks whether it begins as it should."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, aad + plaintext, b"")

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        whole = super().decrypt(key, ciphertext, b"").plaintext
        if not whole.startswith(aad):
            raise DecryptionFailed("ciphertext, key and associated data do not belong together")
        return Decrypted(plaintext=whole[len(aad) :])


@fault({44: "changed bit succeeded"})
class TagIsNotLookedAt(ZooSoftware):
    """Decrypts as a stream, and forgets the tag at the end."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        secret = self._keystore.read(name_of(key)).secret.get_secret_value()
        counter = ciphertext[1:_HEAD] + (2).to_bytes(4, "big")
        if len(counter) != _TAG:
            raise DecryptionFailed("ciphertext, key and associated data do not belong together")
        stream = Cipher(algorithms.AES(secret), modes.CTR(counter)).decryptor()
        return Decrypted(plaintext=stream.update(ciphertext[_HEAD:-_TAG]))


@fault({44: "gives another error", 50: "gives another error"})
class TellsWhichVersionItDoesNotKnow(ZooSoftware):
    """Says which version of the format it does not know."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        if ciphertext[:1] != b"\x01":
            raise DecryptionFailed("the format of the ciphertext has an unknown version")
        return super().decrypt(key, ciphertext, aad)


@fault({45: "bytes after it succeeded"})
class WhatFollowsIsIgnored(ZooSoftware):
    """Writes the length in front, and ignores what follows."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        ciphertext = super().encrypt(key, plaintext, aad).ciphertext
        return Encrypted(ciphertext=len(ciphertext).to_bytes(4, "big") + ciphertext)

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        end = 4 + int.from_bytes(ciphertext[:4], "big")
        return super().decrypt(key, ciphertext[4:end], aad)


@fault({45: "raised"})
class CutCiphertextIsAnIndexError(ZooSoftware):
    """Looks at the version before it looks at the length."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        if ciphertext[0] > 1:
            raise DecryptionFailed("ciphertext, key and associated data do not belong together")
        return super().decrypt(key, ciphertext, aad)


@fault({46: "same ciphertext twice", 48: "with one keystream"})
class OneNonceForEverything(_OwnFormat):
    """Uses a nonce of zeros, since the key is fresh."""

    def nonce(self) -> bytes:
        return bytes(_NONCE)


@fault({46: "same ciphertext twice"})
class NonceOfOneByte(_OwnFormat):
    """Counts nonces in one nibble, as a small device may."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.numbers = itertools.cycle(range(16))

    def nonce(self) -> bytes:
        return next(self.numbers).to_bytes(_NONCE, "big")


@fault({47: "keystreams are equal"})
class NonceCountsFromTheOpening(_OwnFormat):
    """Counts nonces, and begins at one whenever it is opened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.numbers = itertools.count(1)

    def nonce(self) -> bytes:
        return next(self.numbers).to_bytes(_NONCE, "big")


@fault({48: "with one keystream"})
class NonceThatIsOnlyShown(_OwnFormat):
    """Draws a nonce, writes it down, and hands the cipher another one."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        ciphertext = AESGCM(self.secret(key)).encrypt(bytes(_NONCE), plaintext, aad)
        return Encrypted(ciphertext=b"\x01" + self.nonce() + ciphertext)

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        try:
            return Decrypted(plaintext=AESGCM(self.secret(key)).decrypt(bytes(_NONCE), ciphertext[_HEAD:], aad))
        except (InvalidTag, ValueError):
            raise DecryptionFailed("ciphertext, key and associated data do not belong together") from None


@fault({48: "stands in its ciphertext"})
class AuthenticatesAlone(_OwnFormat):
    """Authenticates the plaintext, and leaves it in clear."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        nonce = self.nonce()
        return Encrypted(
            ciphertext=b"\x01" + nonce + plaintext + AESGCM(self.secret(key)).encrypt(nonce, b"", plaintext)
        )


@fault({49: "another key gives another error"})
class NamesTheRightKey(ZooSoftware):
    """Writes the key's address in front, and tells whoever comes with another key."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return Encrypted(ciphertext=key.uri.encode() + super().encrypt(key, plaintext, aad).ciphertext)

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        address = key.uri.encode()
        if not ciphertext.startswith(address):
            raise DecryptionFailed("the ciphertext belongs to another key")
        return super().decrypt(key, ciphertext.removeprefix(address), aad)


@fault({49: "another key succeeded"})
class OneKeyEncryptsForAll(_OwnFormat):
    """Encrypts with the key that was used first, whichever is asked for."""

    first: KeyReference | None = None

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        self.first = self.first or key
        return super().encrypt(self.first, plaintext, aad)

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return super().decrypt(self.first or key, ciphertext, aad)


@fault({50: "is no ciphertext raised"})
class ForeignFormatIsAnError(ZooSoftware):
    """Expects text in base64 inside, and lets the error of the decoder escape."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        if ciphertext[:1] not in {b"", b"\x00", b"\x01"}:
            raise InvalidArgument("the ciphertext is not one of this backend")
        return super().decrypt(key, ciphertext, aad)


@fault({54: "longest plaintext succeeded"})
class LongPlaintextIsCut(ZooSoftware):
    """Encrypts as much as fits into a request."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return super().encrypt(key, plaintext[:MAX_PLAINTEXT], aad)
