"""Verifiers and unwrapping that are wrong in ways that only forged vectors show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import InvalidArgument, KeyclaveError
from keyclave_contract_tests.sources import CRYPTO
from msgspec import structs
from pydantic import SecretBytes

from tests.zoo.fault import unwrap_fault, verifier_fault

Verify = Callable[[bytes, bytes], None]


@verifier_fault({121: "ecdsa_secp256r1_sha256 were judged wrongly"})
def accepts_anything_that_begins_like_a_signature() -> CryptoFunctions:
    """Read the first structure and forget what follows, as lenient parsers of DER do."""

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Verify:
        verify = CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed)
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            return verify
        return lambda data, signature: verify(data, signature[: signature[1] + 2] if len(signature) > 1 else b"")

    return structs.replace(CRYPTO, bind_verifier=bind)


@verifier_fault({121: "were judged wrongly"})
def reduces_r_and_s() -> CryptoFunctions:
    """Take r and s modulo the order, so that numbers beyond it are accepted."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def bind(public_key: Any, scheme_name: str, *, prehashed: bool = False) -> Verify:
        verify = CRYPTO.bind_verifier(public_key, scheme_name, prehashed=prehashed)
        if scheme_name != "ECDSA_SHA256":
            return verify
        return lambda data, signature: verify(data, _reduced(signature, order))

    return structs.replace(CRYPTO, bind_verifier=bind)


def _reduced(signature: bytes, order: int) -> bytes:
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return signature
    return encode_dss_signature(r % order, s % order)


@unwrap_fault({131: "aes_kwp were judged wrongly"})
def ignores_the_padding(blob: bytes, private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
    """Accept what unwraps as AES-KW, without looking at the length and the zeros of AES-KWP."""
    try:
        return unwrap_key(blob, private_key, method)
    except KeyclaveError:
        pass
    size = private_key.key_size // 8
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    try:
        kek = private_key.decrypt(blob[:size], oaep)
        return SecretBytes(keywrap.aes_key_unwrap(kek, blob[size:]))
    except (ValueError, keywrap.InvalidUnwrap):
        raise InvalidArgument("the wrapped key cannot be unwrapped") from None


@unwrap_fault({132: "refused in other words"})
def says_which_half_was_wrong(blob: bytes, private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
    """Tell an attacker whether the padding of RSA was right."""
    try:
        return unwrap_key(blob, private_key, method)
    except InvalidArgument:
        pass
    first = int.from_bytes(blob[: private_key.key_size // 8], "big")
    numbers = private_key.private_numbers()
    plain = pow(first, numbers.d, numbers.public_numbers.n).to_bytes(private_key.key_size // 8, "big")
    raise InvalidArgument("the padding is wrong" if plain[0] else "the wrapped key cannot be unwrapped")
