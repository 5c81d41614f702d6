"""Private keys that are broken, or weak, and come wrapped as they should."""

from __future__ import annotations

import math
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from keyclave.errors import InvalidArgument
from keyclave_software.backend import SoftwareBackend

from core.tests.crypto.weak_rsa import prime_from, private_key, random_prime, roca_prime
from plugins.software.tests.conftest import Begin
from plugins.software.tests.wrapped import is_empty, pkcs8, wrap

P256_POINT = 65
"""Length of an uncompressed point, which ends the PKCS#8 form of a P-256 key."""


def p256_key() -> bytes:
    return pkcs8(ec.generate_private_key(ec.SECP256R1()))


def point_off_the_curve() -> bytes:
    key = p256_key()
    return key[:-1] + bytes([key[-1] ^ 1])


def point_of_another_key() -> bytes:
    return p256_key()[:-P256_POINT] + p256_key()[-P256_POINT:]


def private_scalar_of_zero() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return pkcs8(key).replace(key.private_numbers().private_value.to_bytes(32, "big"), bytes(32))


def der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(2, "big").lstrip(b"\0")
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x80 | len(size)]) + size
    return bytes([tag]) + length + content


def rsa_pkcs8(n: int, e: int, d: int, p: int, q: int, *, q_order: int | None = None) -> bytes:
    """PKCS#8 of numbers that `cryptography` refuses to write."""
    numbers = (0, n, e, d, p, q, d % (p - 1), d % (q_order or q - 1), pow(q, -1, p))
    encoded = (der(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    return frame("300d06092a864886f70d0101010500", der(0x30, b"".join(encoded)))


def frame(algorithm: str, key: bytes, attributes: bytes = b"", version: int = 0) -> bytes:
    """PrivateKeyInfo of RFC 5958, section 2."""
    content = der(2, bytes([version])) + bytes.fromhex(algorithm) + der(4, key) + attributes
    return der(0x30, content)


def rsa_key(**changes: Callable[[int], int]) -> bytes:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    public = numbers.public_numbers
    values = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    return rsa_pkcs8(**{name: changes.get(name, int)(value) for name, value in values.items()})


def another_modulus(_: int) -> int:
    return rsa.generate_private_key(65537, 2048).public_key().public_numbers().n


def close_primes() -> bytes:
    p = random_prime()
    return pkcs8(private_key(p, prime_from(p + 2)))


P256, P384 = "301306072a8648ce3d020106082a8648ce3d030107", "301006072a8648ce3d020106052b81040022"
ED25519, ML_DSA_65 = "300506032b6570", "300b0609608648016503040312"
RSASSA_PSS = "300b06092a864886f70d01010a"
ORDER = ec.SECP256R1().group_order
KEY_USAGE = der(0xA0, der(0x30, bytes.fromhex("0603551d0f") + der(0x31, bytes.fromhex("03020780"))))
"""An attribute, as some makers write it: the key is for signatures only."""


def p256_scalar(scalar: int, algorithm: str = P256) -> bytes:
    """ECPrivateKey of RFC 5915 without the public key."""
    return frame(algorithm, der(0x30, der(2, b"\1") + der(4, scalar.to_bytes(32, "big"))))


def seed(size: int, attributes: bytes = b"") -> bytes:
    return frame(ED25519, der(4, b"s" * size), attributes)


def version_2(public_key: bytes) -> bytes:
    return frame(ED25519, der(4, b"s" * 32), der(0x81, b"\0" + public_key), version=1)


def traditional(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#1 or SEC1."""
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def encrypted() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


def pem() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def with_rsassa_pss() -> bytes:
    return frame(RSASSA_PSS, traditional(rsa.generate_private_key(65537, 2048)))


def made_by_openssl(options: str) -> bytes:
    made = subprocess.run(["openssl", "genpkey", "-algorithm", *options.split()], check=True, capture_output=True)
    convert = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]
    return subprocess.run(convert, input=made.stdout, check=True, capture_output=True).stdout


def with_a_prime_of(bits: int) -> bytes:
    p = prime_from(secrets.randbits(bits) | 3 << bits - 2)
    q = rsa.generate_private_key(65537, 2 * (2048 - bits)).private_numbers().q
    return rsa_pkcs8(p * q, 65537, pow(65537, -1, math.lcm(p - 1, q - 1)), q, p)


def with_a_composite_factor() -> bytes:
    """A key that works: its second factor is the product of two primes."""
    p, a, b = random_prime(), *(prime_from(secrets.randbits(512) | 7 << 509) for _ in range(2))
    order = (a - 1) * (b - 1)
    return rsa_pkcs8(p * a * b, 65537, pow(65537, -1, math.lcm(p - 1, order)), p, a * b, q_order=order)


NO_KEY, WEAK = "not a valid PKCS#8 private key", "close|ROCA|exponent|half as long"
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "EC point off the curve": ("ECDSA_P256", point_off_the_curve, NO_KEY),
    "EC point of another key": ("ECDSA_P256", point_of_another_key, NO_KEY),
    "EC scalar of zero": ("ECDSA_P256", private_scalar_of_zero, NO_KEY),
    "RSA even modulus": ("RSA_2048", lambda: rsa_key(n=lambda n: n + 1), NO_KEY),
    "RSA modulus of another key": ("RSA_2048", lambda: rsa_key(n=another_modulus), NO_KEY),
    "RSA wrong private exponent": ("RSA_2048", lambda: rsa_key(d=lambda d: d + 2), NO_KEY),
    "EC scalar of the order": ("ECDSA_P256", lambda: p256_scalar(ORDER), NO_KEY),
    "EC scalar on another curve": ("ECDSA_P256", lambda: p256_scalar(1, P384), NO_KEY),
    "EC curve of Bitcoin": ("ECDSA_P256", lambda: pkcs8(ec.generate_private_key(ec.SECP256K1())), "no algorithm"),
    "EC in SEC1": ("ECDSA_P256", lambda: traditional(ec.generate_private_key(ec.SECP256R1())), NO_KEY),
    "RSA in PKCS#1": ("RSA_2048", lambda: traditional(rsa.generate_private_key(65537, 2048)), NO_KEY),
    "RSA restricted to PSS": ("RSA_2048", with_rsassa_pss, NO_KEY),
    "RSA of 1024 bits": ("RSA_2048", lambda: pkcs8(rsa.generate_private_key(65537, 1024)), "no algorithm"),
    "RSA prime of 16 bits": ("RSA_2048", lambda: with_a_prime_of(16), WEAK),
    "RSA prime of 64 bits": ("RSA_2048", lambda: with_a_prime_of(64), WEAK),
    "RSA prime of 1000 bits": ("RSA_2048", lambda: with_a_prime_of(1000), WEAK),
    "RSA composite factor": ("RSA_2048", with_a_composite_factor, NO_KEY),
    "Ed25519 seed of 31 bytes": ("ED25519", lambda: seed(31), NO_KEY),
    "Ed25519 seed of 33 bytes": ("ED25519", lambda: seed(33), NO_KEY),
    "Ed25519 seed of no bytes": ("ED25519", lambda: seed(0), NO_KEY),
    "Ed25519 with another public key": ("ED25519", lambda: version_2(bytes(32)), NO_KEY),
    "ML-DSA seed of 31 bytes": ("ML_DSA_65", lambda: frame(ML_DSA_65, der(0x80, bytes(31))), NO_KEY),
    "ML-DSA of another size": ("ML_DSA_65", lambda: pkcs8(mldsa.MLDSA44PrivateKey.generate()), "no algorithm"),
    "attributes": ("ED25519", lambda: seed(32, attributes=KEY_USAGE), NO_KEY),
    "version 2": ("ED25519", lambda: frame(ED25519, der(4, bytes(32)), version=1), NO_KEY),
    "trailing zeros": ("ED25519", lambda: seed(32) + bytes(6), NO_KEY),
    "encrypted": ("ED25519", encrypted, NO_KEY),
    "PEM": ("ED25519", pem, NO_KEY),
    "RSA exponent of 3": ("RSA_2048", lambda: pkcs8(rsa.generate_private_key(3, 2048)), WEAK),
    "RSA close primes": ("RSA_2048", close_primes, WEAK),
    "RSA primes of CVE-2017-15361": ("RSA_2048", lambda: pkcs8(private_key(roca_prime(), roca_prime())), WEAK),
}


MADE_BY_OPENSSL: dict[str, tuple[str, str]] = {
    "EC explicit parameters": (
        "ECDSA_P256",
        "EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
    ),
    "RSA restricted to PSS with one hash": (
        "RSA_2048",
        "RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha512",
    ),
    "RSA of three primes": ("RSA_2048", "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_primes:3"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_weak_or_broken_key_is_refused_and_leaves_nothing(
    backend: SoftwareBackend, begin: Begin, data_directory: Path, case: tuple[str, Callable[[], bytes], str]
) -> None:
    algorithm, make, problem = case
    ticket = begin(algorithm)
    with pytest.raises(InvalidArgument, match=problem):
        backend.import_key(ticket=ticket, wrapped=wrap(ticket, make()))
    assert is_empty(backend, data_directory)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("case", MADE_BY_OPENSSL.values(), ids=MADE_BY_OPENSSL)
def test_a_key_of_openssl_that_says_more_than_the_key_is_refused(
    backend: SoftwareBackend, begin: Begin, data_directory: Path, case: tuple[str, str]
) -> None:
    algorithm, options = case
    ticket = begin(algorithm)
    with pytest.raises(InvalidArgument, match=NO_KEY):
        backend.import_key(ticket=ticket, wrapped=wrap(ticket, made_by_openssl(options)))
    assert is_empty(backend, data_directory)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ECDSA_P256", "EC -pkeyopt ec_paramgen_curve:P-256"),
        ("ECDSA_P384", "EC -pkeyopt ec_paramgen_curve:P-384"),
        ("RSA_2048", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("ED25519", "ED25519"),
    ],
)
def test_an_ordinary_key_of_openssl_is_accepted(
    backend: SoftwareBackend, begin: Begin, algorithm: str, options: str
) -> None:
    ticket = begin(algorithm)
    backend.import_key(ticket=ticket, wrapped=wrap(ticket, made_by_openssl(options)))


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("RSA_2048", rsa_key),
        ("ECDSA_P256", p256_key),
        ("ECDSA_P256", lambda: p256_scalar(ORDER - 1)),
        ("ED25519", lambda: seed(32)),
        ("ML_DSA_65", lambda: frame(ML_DSA_65, der(0x80, bytes(32)))),
    ],
)
def test_the_same_encoding_of_a_good_key_is_accepted(
    backend: SoftwareBackend, begin: Begin, algorithm: str, make: Callable[[], bytes]
) -> None:
    """So that the refusals above are due to what was changed and not to how the test writes keys."""
    ticket = begin(algorithm)
    backend.import_key(ticket=ticket, wrapped=wrap(ticket, make()))
