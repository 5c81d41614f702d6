"""Right backends behind verifiers that accept or refuse what they must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature as Foreign
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.errors import InvalidSignature, KeyclaveError
from keyclave.plugin import CreatedKey, CreateKeyRequest, KeyReference, Signed, hookimpl
from keyclave_contract_tests.sources import CRYPTO
from msgspec import structs

from tests.zoo.fault import fault, verifier_fault
from tests.zoo.software import ZooSoftware

Verify = Callable[[Any, Any], Any]


def _guards(wrong: Callable[[Verify, Any, str], Verify]) -> CryptoFunctions:
    """Return guards whose verifier is made by ``wrong`` from the right one, the public key and the scheme."""

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Verify:
        return wrong(CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed), public_key, scheme_name)

    return structs.replace(CRYPTO, bind_verifier=bind)


def _wrong() -> InvalidSignature:
    return InvalidSignature("the signature was not made over this data by this key")


@verifier_fault({25: "verifying text succeeded"})
def text_is_encoded_on_the_way() -> CryptoFunctions:
    """Takes text, too, and guesses its encoding."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        return lambda data, signature: right(data.encode() if isinstance(data, str) else data, signature)

    return _guards(wrong)


@verifier_fault({25: "as bytearray"})
def bytes_alone_are_verified() -> CryptoFunctions:
    """Looks at the type before it looks at the signature."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        def verify(data: Any, signature: Any) -> None:
            if not (isinstance(data, bytes) and isinstance(signature, bytes)):
                raise _wrong()
            right(data, signature)

        return verify

    return _guards(wrong)


@verifier_fault({27: "changed bit succeeded", 28: "another message succeeded", 29: "another key succeeded"})
def everything_is_right() -> CryptoFunctions:
    """Was left as it was written for a first test."""
    return _guards(lambda right, public_key, scheme: lambda data, signature: None)


@verifier_fault({28: "another message succeeded", 30: "succeeded"})
def nothing_needs_no_signature() -> CryptoFunctions:
    """Takes an empty message for one that is not there, and lets it pass."""
    return _guards(lambda right, public_key, scheme: lambda data, signature: data and right(data, signature))


@verifier_fault({28: "another message succeeded"})
def message_is_stripped() -> CryptoFunctions:
    """Strips the message, as text that was pasted needs it."""
    return _guards(
        lambda right, public_key, scheme: lambda data, signature: right(bytes(data).strip(b"\x00 "), signature)
    )


@fault({29: "one public key"})
class OneKeyForAll(ZooSoftware):
    """Answers every request for a key with the first one that it made."""

    first: bytes | None = None

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if request.algorithm != "ECDSA_P256":
            return made
        self.first = self.first or made.public_key
        return structs.replace(made, public_key=self.first)


@fault({29: "refused a right signature|another key"})
class SignsWithTheNewestKey(ZooSoftware):
    """Signs with the handle that was opened last."""

    newest: KeyReference | None = None

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if request.algorithm == "ECDSA_P256":
            self.newest = made.reference
        return made

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(self.newest if scheme == "ECDSA_SHA256" and self.newest else key, data, scheme)


@verifier_fault({30: "after it succeeded"})
def what_follows_is_not_looked_at() -> CryptoFunctions:
    """Reads the signature from a longer buffer, and drops the rest."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        size = public_key.key_size // 8 if scheme.startswith("RSA") else None
        return lambda data, signature: right(data, signature[:size])

    return _guards(wrong)


@verifier_fault({30: "as r and s side by side succeeded"})
def signature_in_any_encoding() -> CryptoFunctions:
    """Takes an ECDSA signature as r and s side by side, too."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        def verify(data: Any, signature: Any) -> None:
            if scheme.startswith("ECDSA") and len(signature) == 2 * public_key.key_size // 8:
                half = len(signature) // 2
                pair = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
                signature = encode_dss_signature(*pair)
            right(data, signature)

        return verify

    return _guards(wrong)


@verifier_fault({30: "by the order succeeded"})
def numbers_are_reduced() -> CryptoFunctions:
    """Reduces r and s by the order of the curve before it looks at their range."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        def verify(data: Any, signature: Any) -> None:
            try:
                r, s = decode_dss_signature(signature)
            except ValueError:
                raise _wrong() from None
            order = public_key.curve.group_order
            right(data, encode_dss_signature(r % order, s % order))

        return verify if isinstance(public_key, ec.EllipticCurvePublicKey) else right

    return _guards(wrong)


@verifier_fault({30: "an empty signature succeeded"})
def failure_to_read_is_no_refusal() -> CryptoFunctions:
    """Catches what goes wrong while it reads the signature, and goes on."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        def verify(data: Any, signature: Any) -> None:
            try:
                right(data, signature)
            except KeyclaveError:
                if len(signature) > 16:
                    raise

        return verify

    return _guards(wrong)


@verifier_fault({31: "returned False for a wrong signature"})
def verdict_is_returned() -> CryptoFunctions:
    """Returns whether the signature is right, for its caller to look at or not."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        def verify(data: Any, signature: Any) -> bool:
            try:
                right(data, signature)
            except InvalidSignature:
                return False
            return True

        return verify

    return _guards(wrong)


@verifier_fault({32: "as RSA_.* succeeded"})
def any_padding_of_rsa() -> CryptoFunctions:
    """Tries the one padding of RSA, then the other."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        if not scheme.startswith("RSA"):
            return right
        other = scheme.replace("PSS", "PKCS1") if "PSS" in scheme else scheme.replace("PKCS1", "PSS")
        return _either(right, CRYPTO.bind_verifier(public_key, other))

    return _guards(wrong)


@verifier_fault({32: "mask is made with SHA-1 succeeded"})
def any_mask_of_pss() -> CryptoFunctions:
    """Takes the mask function that is the default elsewhere, too."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        if not (isinstance(public_key, rsa.RSAPublicKey) and scheme == "RSA_PSS_SHA256"):
            return right

        def other(data: Any, signature: Any) -> None:
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA1()), salt_length=padding.PSS.AUTO)
            try:
                public_key.verify(signature, data, pss, hashes.SHA256())
            except Foreign:
                raise _wrong() from None

        return _either(right, other)

    return _guards(wrong)


@verifier_fault({37: "one of its digest succeeded"})
def message_or_digest() -> CryptoFunctions:
    """Takes 32 bytes for a message or for a digest, whichever fits."""

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Verify:
        right = CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed)
        if not scheme_name.startswith("ECDSA"):
            return right
        return _either(right, CRYPTO.bind_verifier(public_key, scheme_name, prehashed=not prehashed))

    return structs.replace(CRYPTO, bind_verifier=bind)


@verifier_fault({37: "as a digest succeeded|as a digest raised"})
def digest_is_cut_to_its_length() -> CryptoFunctions:
    """Cuts what it takes for a digest to the length of one."""

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Verify:
        right = CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed)
        return (lambda data, signature: right(bytes(data)[:32], signature)) if prehashed else right

    return structs.replace(CRYPTO, bind_verifier=bind)


@verifier_fault({40: "after a right one succeeded"})
def verdict_is_remembered() -> CryptoFunctions:
    """Remembers which message it accepted, and forgets to remember with which signature."""

    def wrong(right: Verify, public_key: Any, scheme: str) -> Verify:
        good: set[bytes] = set()

        def verify(data: Any, signature: Any) -> None:
            if bytes(data) not in good:
                right(data, signature)
                good.add(bytes(data))

        return verify

    return _guards(wrong)


def _either(one: Verify, other: Verify) -> Verify:
    def verify(data: Any, signature: Any) -> None:
        try:
            one(data, signature)
        except KeyclaveError:
            other(data, signature)

    return verify
