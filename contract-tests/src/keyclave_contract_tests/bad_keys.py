"""Private and secret keys that must not be imported: cut, of another kind, out of range, with halves of two keys.

Sources: PKCS#8, RFC 5958; ECPrivateKey, RFC 5915; RSAPrivateKey, RFC 8017, appendix A.1.2; Ed25519, RFC 8410.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.models import AlgorithmFamily, get_algorithm
from keyclave.plugin import Record

from keyclave_contract_tests.originals import original, secret_of, spki_of

__all__ = ["BadKey", "bad_keys"]

_OF_ANOTHER_KIND = {
    "RSA_2048": "RSA_3072",
    "RSA_3072": "RSA_2048",
    "RSA_4096": "RSA_2048",
    "ECDSA_P256": "ECDSA_P384",
    "ECDSA_P384": "ECDSA_P256",
}
_ED25519_HEAD = bytes.fromhex("300506032b6570")
"""AlgorithmIdentifier of Ed25519, RFC 8410, section 3."""


class BadKey(Record, frozen=True, kw_only=True):
    """A key that must not be imported.

    Attributes:
        what: what is wrong with it, as the rest of a sentence that begins with "a key".
        secret: PKCS#8, or the bytes of a secret key.
        meant: DER SubjectPublicKeyInfo of the key that is left if a device ignores what is wrong, because it says
            only again what the rest says; empty where there is none.
    """

    what: str
    secret: bytes
    meant: bytes = b""


def bad_keys(algorithm: str) -> Iterator[BadKey]:
    """Return bad keys that pretend to be of an algorithm."""
    good = secret_of(algorithm)
    match get_algorithm(algorithm).family:
        case AlgorithmFamily.AES:
            yield from (BadKey(what=f"of {length} bytes", secret=good[:length]) for length in (31, 24, 16, 1))
            yield BadKey(what="of 33 bytes", secret=good + b"\x00")
            yield BadKey(what="of 64 bytes", secret=good * 2)
            return
        case AlgorithmFamily.EC:
            yield from _ec(algorithm, good)
        case AlgorithmFamily.RSA:
            yield from _rsa(algorithm, good)
        case AlgorithmFamily.ED25519:
            yield from (BadKey(what=f"of {size} bytes", secret=_ed25519(good[-32:], size)) for size in (31, 33))
    meant = spki_of(original(algorithm))
    other = _OF_ANOTHER_KIND.get(algorithm, "ECDSA_P256")
    yield BadKey(what=f"that is a key of {other}", secret=secret_of(other))
    yield BadKey(what="that is a public key", secret=meant)
    yield BadKey(what="without its last byte", secret=good[:-1])
    yield BadKey(what="that is 32 random bytes", secret=secret_of("AES_256"))
    yield BadKey(what="with bytes after it", secret=good + b"\x00" * 8, meant=meant)


def _ec(algorithm: str, good: bytes) -> Iterator[BadKey]:
    private = original(algorithm)
    order, meant = private.curve.group_order, spki_of(private)
    size = (order.bit_length() + 7) // 8
    scalar = private.private_numbers().private_value.to_bytes(size, "big")
    yield BadKey(what="whose private value is zero", secret=_with(good, scalar, bytes(size)))
    yield BadKey(what="whose private value is the order", secret=_with(good, scalar, order.to_bytes(size, "big")))
    point, foreign = _point(private), _point(original(algorithm, 1))
    beside = point[:-1] + bytes([point[-1] ^ 1])  # one y, and its negative, belong to x: this is neither
    yield BadKey(what="whose point is not on the curve", secret=_with(good, point, beside), meant=meant)
    yield BadKey(what="whose point is that of another key", secret=_with(good, point, foreign), meant=meant)


def _rsa(algorithm: str, good: bytes) -> Iterator[BadKey]:
    private = original(algorithm)
    numbers, meant = private.private_numbers(), spki_of(private)
    modulus = _bytes(numbers.public_numbers.n)
    even = modulus[:-1] + bytes([modulus[-1] ^ 1])
    prime, exponent = _bytes(numbers.p), _bytes(numbers.d)
    yield BadKey(what="whose modulus is even", secret=_with(good, modulus, even))
    yield BadKey(what="whose prime is another number", secret=_with(good, prime, _odd(prime)), meant=meant)
    yield BadKey(
        what="whose private exponent is another number", secret=_with(good, exponent, _odd(exponent)), meant=meant
    )


def _ed25519(seed: bytes, size: int) -> bytes:
    """Return PKCS#8 with a private key of ``size`` bytes."""
    key = (seed + bytes(size))[:size]
    content = b"\x02\x01\x00" + _ED25519_HEAD + bytes([0x04, size + 2, 0x04, size]) + key
    return bytes([0x30, len(content)]) + content


def _with(encoded: bytes, part: bytes, other: bytes) -> bytes:
    """Return an encoding in which one part is replaced by another one of its length."""
    return encoded.replace(part, other, 1)


def _odd(number: bytes) -> bytes:
    """Return another number, as odd as the given one."""
    return number[:-1] + bytes([number[-1] ^ 2])


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _point(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
