"""Backends that sign wrongly."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import (
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    KeyReference,
    PublicKey,
    Signed,
    SigningInput,
    hookimpl,
)
from keyclave_software import pkcs8
from keyclave_software.loaded import name_of, uri_of
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_SHA256 = Prehashed(hashes.SHA256())


def private_key(backend: ZooSoftware, key: KeyReference) -> Any:
    """Return the private key that a backend keeps."""
    secret = backend._keystore.read(name_of(key)).secret.get_secret_value()
    return serialization.load_der_private_key(secret, None)


class _ReceivesMessages(ZooSoftware):
    """A right backend that wants messages for every scheme, and hashes them itself."""

    @hookimpl
    def describe(self) -> BackendDescription:
        whole = super().describe()
        return structs.replace(
            whole,
            algorithms=tuple(
                structs.replace(
                    support, schemes=tuple(structs.replace(s, input=SigningInput.MESSAGE) for s in support.schemes)
                )
                for support in whole.algorithms
            ),
        )

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data if scheme == "ED25519" else hashlib.sha256(data).digest(), scheme)


@fault({21: "does not verify"})
class HashesTwice(ZooSoftware):
    """Takes the digest for a message, and hashes it again."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data if scheme == "ED25519" else hashlib.sha256(data).digest(), scheme)


@fault({21: "does not verify", 34: "right with no length"})
class PssMaskWithSha1(ZooSoftware):
    """Leaves the mask function of PSS at its default."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if not scheme.startswith("RSA_PSS"):
            return super().sign(key, data, scheme)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA1()), salt_length=32)
        return Signed(signature=private_key(self, key).sign(data, pss, _SHA256))


@fault({23: "over 65536 bytes does not verify"})
class LengthInTwoBytes(_ReceivesMessages):
    """Passes the length of the message on in two bytes."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data[: len(data) & 0xFFFF], scheme)


@fault({23: "over 4097 bytes does not verify"})
class MessageCutAtAPage(_ReceivesMessages):
    """Reads one page of the message."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data[:4096], scheme)


@fault({23: "over 12345 bytes does not verify"}, budget="deep")
class WrongForOneLengthOnly(ZooSoftware):
    """Loses the last byte of messages of one single length."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data[:-1] if len(data) == 12_345 else data, scheme)


@fault({24: "special bytes does not verify"})
class MessageAsCString(ZooSoftware):
    """Hands the message to a function that stops at the first zero."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data.partition(b"\x00")[0] if scheme == "ED25519" else data, scheme)


@fault({24: "special bytes does not verify"})
class MessageAsText(ZooSoftware):
    """Reads the message from a file in text mode."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data.replace(b"\r\n", b"\n") if scheme == "ED25519" else data, scheme)


@fault({24: "signature over digests with special bytes does not verify"})
class DigestAsNumber(ZooSoftware):
    """Takes the digest for a number, and fills up what is missing at the wrong end."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if scheme == "ED25519":
            return super().sign(key, data, scheme)
        return super().sign(key, data.lstrip(b"\x00").ljust(len(data), b"\x00"), scheme)


class _Counting(ZooSoftware):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.signatures = itertools.count(1)


@fault({26: "does not verify"})
class OneSignatureInAHundredIsBad(_Counting):
    """Sends a signature from a buffer that another session wrote into, now and then."""

    rate = 100

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        signed = super().sign(key, data, scheme)
        if next(self.signatures) % self.rate:
            return signed
        return structs.replace(signed, signature=signed.signature[:-1] + bytes([signed.signature[-1] ^ 1]))


@fault({26: "does not verify"}, budget="deep")
class OneSignatureInTwoThousandIsBad(OneSignatureInAHundredIsBad):
    """The same, twenty times as seldom."""

    rate = 2_000


@fault({33: "declared as DER is none"})
class RawWhereDerIsDeclared(ZooSoftware):
    """Returns r and s side by side, as a token does, where DER is declared."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        signed = super().sign(key, data, scheme)
        if not scheme.startswith("ECDSA"):
            return signed
        return Signed(signature=b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(signed.signature)))


@fault({34: "salt has 0 bytes"})
class PssWithoutSalt(ZooSoftware):
    """Sends no salt length, and the device takes none."""

    salt = 0

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if not scheme.startswith("RSA_PSS"):
            return super().sign(key, data, scheme)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=self.salt)
        return Signed(signature=private_key(self, key).sign(data, pss, _SHA256))


@fault({34: "salt has 222 bytes"})
class PssWithTheLongestSalt(PssWithoutSalt):
    """Takes as much salt as there is room for."""

    salt = 222


@fault({34: "their salt is the same"})
class PssFromACache(ZooSoftware):
    """Keeps signatures, and returns the one that is there."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made: dict[tuple[str, bytes, str], Signed] = {}

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        place = key.uri, data, scheme
        self.made[place] = self.made.get(place) or super().sign(key, data, scheme)
        return self.made[place]


@fault({35: "begins with a zero byte"})
class RsaSignatureAsANumber(ZooSoftware):
    """Writes the signature in as many bytes as the number needs."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        signed = super().sign(key, data, scheme)
        if not scheme.startswith("RSA"):
            return signed
        return structs.replace(signed, signature=signed.signature.lstrip(b"\x00"))


@fault({35: "where the scheme has only one"})
class PssWherePkcs1IsAskedFor(ZooSoftware):
    """Signs with the one padding that it knows."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data, scheme.replace("PKCS1", "PSS"))


@fault({38: "not described for the key succeeded"})
class UnknownSchemeIsTheDefault(ZooSoftware):
    """Signs with the first scheme of the key where it does not know the one that was asked for."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        try:
            return super().sign(key, data, scheme)
        except CapabilityUnsupported:
            schemes = {s.algorithm: s.schemes for s in self.describe().algorithms}[key.algorithm]
            return super().sign(key, data, schemes[0].scheme)


@fault({39: "1024 bits"})
class RsaKeysAreShort(ZooSoftware):
    """Makes RSA keys of the size that was usual once."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.algorithm == "RSA_2048":
            self._add(request, pkcs8.write(rsa.generate_private_key(65537, 1024)))
        return super().create_key(request)


@fault({39: "not that of the key any more"})
class PublicKeyOfTheNewestKey(ZooSoftware):
    """Returns the public key that it read last, from a cache with one place."""

    newest: PublicKey | None = None

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        reference = KeyReference(label=request.label, uri=uri_of(str(request.label)), algorithm=request.algorithm)
        self.newest = super().public_key(reference) if made.public_key else self.newest
        return made

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        return self.newest or super().public_key(key)
