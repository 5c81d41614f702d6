from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keyclave.crypto.key_checks import check_private_key, check_public_key
from keyclave.crypto.rsa_checks import check_public_numbers
from keyclave.errors import InvalidArgument

from core.tests.crypto.weak_rsa import is_prime, prime_from, private_key, random_prime, roca_prime, spki_of

Keys = Callable[..., Any]
PKCS8 = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def modulus(key: rsa.RSAPrivateKey) -> int:
    return key.public_key().public_numbers().n


@pytest.fixture(scope="module")
def ordinary() -> rsa.RSAPrivateKey:
    return private_key(random_prime(), random_prime())


def test_an_ordinary_key_passes(ordinary: rsa.RSAPrivateKey) -> None:
    check_public_key(spki_of(modulus(ordinary)), "RSA_2048")
    check_private_key(ordinary, "RSA_2048")


@pytest.mark.parametrize("algorithm", ["RSA_2048", "RSA_3072", "RSA_4096"])
def test_a_generated_key_passes(algorithm: str, private_key: Keys) -> None:
    check_public_key(spki_of(modulus(private_key(algorithm))), algorithm)
    check_private_key(private_key(algorithm), algorithm)


@pytest.mark.parametrize("exponent", [3, 5, 17, 257, 65535, 65539 << 260 | 1])
def test_an_exponent_out_of_range_is_refused(exponent: int, ordinary: rsa.RSAPrivateKey) -> None:
    with pytest.raises(InvalidArgument, match="exponent"):
        check_public_key(spki_of(modulus(ordinary), exponent), "RSA_2048")


@pytest.mark.parametrize("exponent", [65537, 65539, (1 << 256) - 1])
def test_an_exponent_in_range_passes(exponent: int, ordinary: rsa.RSAPrivateKey) -> None:
    check_public_key(spki_of(modulus(ordinary), exponent), "RSA_2048")


def test_an_even_exponent_is_refused(ordinary: rsa.RSAPrivateKey) -> None:
    spki = spki_of(modulus(ordinary))
    even = spki.removesuffix(b"\x01\x00\x01") + b"\x01\x00\x02"
    with pytest.raises(InvalidArgument):
        check_public_key(even, "RSA_2048")
    with pytest.raises(InvalidArgument, match="must be odd"):
        check_public_numbers(rsa.RSAPublicNumbers(65538, modulus(ordinary)))


@pytest.mark.parametrize("factor", [2, 3, 101, 167])
def test_a_modulus_with_a_small_factor_is_refused(factor: int) -> None:
    rest = random_prime() * prime_from((1 << 1024) // factor - (1 << 1000))
    with pytest.raises(InvalidArgument, match="small factor"):
        check_public_key(spki_of(factor * rest), "RSA_2048")


def test_the_fingerprint_of_the_flawed_generator_is_refused() -> None:
    p, q = roca_prime(), roca_prime()
    with pytest.raises(InvalidArgument, match="CVE-2017-15361"):
        check_public_key(spki_of(p * q), "RSA_2048")
    with pytest.raises(InvalidArgument, match="CVE-2017-15361"):
        check_private_key(private_key(p, q), "RSA_2048")


def test_one_flawed_prime_alone_has_no_fingerprint() -> None:
    check_public_key(spki_of(roca_prime() * random_prime()), "RSA_2048")


@pytest.mark.parametrize("distance", [2, 1 << 100, 1 << 500])
def test_primes_next_to_each_other_are_refused_by_the_public_key(distance: int) -> None:
    p = random_prime()
    with pytest.raises(InvalidArgument, match="too close"):
        check_public_key(spki_of(p * prime_from(p + distance)), "RSA_2048")


def test_primes_with_a_common_first_hundred_bits_are_refused_by_the_private_key() -> None:
    p = random_prime()
    key = private_key(p, prime_from(p + (1 << 920)))
    check_public_key(spki_of(modulus(key)), "RSA_2048")
    with pytest.raises(InvalidArgument, match="too close"):
        check_private_key(key, "RSA_2048")
    check_private_key(private_key(p, prime_from(p - (1 << 930))), "RSA_2048")


@pytest.mark.parametrize("bits", [64, 1023])
def test_primes_of_different_lengths_are_refused_by_the_private_key(bits: int) -> None:
    p = prime_from(secrets.randbits(bits) | 3 << bits - 2)
    key = private_key(p, rsa.generate_private_key(65537, 2 * (2048 - bits)).private_numbers().p)
    check_public_key(spki_of(modulus(key)), "RSA_2048")
    with pytest.raises(InvalidArgument, match="half as long"):
        check_private_key(key, "RSA_2048")


def test_halves_of_two_keys_are_refused(private_key: Keys) -> None:
    one, other = private_key("RSA_2048"), private_key("RSA_2048", 1)
    mixed = one.private_bytes(*PKCS8).replace(modulus(one).to_bytes(256, "big"), modulus(other).to_bytes(256, "big"))
    key = serialization.load_der_private_key(mixed, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    with pytest.raises(InvalidArgument, match="do not belong together") as caught:
        check_private_key(key, "RSA_2048")
    assert caught.value.__context__ is None


def test_a_key_that_works_with_a_factor_that_is_not_prime_is_refused() -> None:
    a, b = (prime_from(secrets.randbits(512) | 7 << 509) for _ in range(2))
    p, q = a * b, random_prime()
    order = math.lcm(a - 1, b - 1)
    d = pow(65537, -1, math.lcm(order, q - 1))
    key = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % order,
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(65537, p * q),
    ).private_key(unsafe_skip_rsa_key_validation=True)
    signature = key.sign(b"message", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidArgument, match="do not belong together"):
        check_private_key(key, f"RSA_{key.key_size}")


def test_the_numbers_of_these_tests_are_prime() -> None:
    assert is_prime((1 << 521) - 1)
    assert not is_prime(((1 << 521) - 1) * ((1 << 607) - 1))
