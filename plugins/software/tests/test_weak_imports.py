"""Private keys that are broken, or weak, and come wrapped as they should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
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


def rsa_pkcs8(n: int, e: int, d: int, p: int, q: int) -> bytes:
    """PKCS#8 of numbers that `cryptography` refuses to write."""
    numbers = (0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    encoded = (der(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    return der(0x30, der(2, b"\0") + algorithm + der(4, der(0x30, b"".join(encoded))))


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


NO_KEY, WEAK = "not a valid PKCS#8 private key", "close|ROCA|exponent"
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "EC point off the curve": ("ECDSA_P256", point_off_the_curve, NO_KEY),
    "EC point of another key": ("ECDSA_P256", point_of_another_key, NO_KEY),
    "EC scalar of zero": ("ECDSA_P256", private_scalar_of_zero, NO_KEY),
    "RSA even modulus": ("RSA_2048", lambda: rsa_key(n=lambda n: n + 1), NO_KEY),
    "RSA modulus of another key": ("RSA_2048", lambda: rsa_key(n=another_modulus), NO_KEY),
    "RSA wrong private exponent": ("RSA_2048", lambda: rsa_key(d=lambda d: d + 2), NO_KEY),
    "RSA exponent of 3": ("RSA_2048", lambda: pkcs8(rsa.generate_private_key(3, 2048)), WEAK),
    "RSA close primes": ("RSA_2048", close_primes, WEAK),
    "RSA primes of CVE-2017-15361": ("RSA_2048", lambda: pkcs8(private_key(roca_prime(), roca_prime())), WEAK),
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


@pytest.mark.parametrize(("algorithm", "make"), [("RSA_2048", rsa_key), ("ECDSA_P256", p256_key)])
def test_the_same_encoding_of_a_good_key_is_accepted(
    backend: SoftwareBackend, begin: Begin, algorithm: str, make: Callable[[], bytes]
) -> None:
    """So that the refusals above are due to what was changed and not to how the test writes keys."""
    ticket = begin(algorithm)
    backend.import_key(ticket=ticket, wrapped=wrap(ticket, make()))
