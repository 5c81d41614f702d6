"""Known weaknesses of RSA keys that can be seen in the numbers."""

from __future__ import annotations

import math
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from keyclave.errors import InvalidArgument

__all__ = ["check_private_numbers", "check_public_numbers"]

_SMALLEST_EXPONENT, _EXPONENT_BITS = 65537, 256
_FERMAT_ROUNDS = 100
_PRIMES = tuple(p for p in range(2, 168) if all(p % d for d in range(2, p)))
_PRIMORIAL = math.prod(_PRIMES)


def check_public_numbers(numbers: rsa.RSAPublicNumbers) -> None:
    """Refuse a weak RSA public key.

    The exponent is odd and between 65537 and 2^256 (FIPS 186-5, section A.1.1). The modulus has no prime factor
    below 168, no two factors so close that a hundred rounds of Fermat's method find them, and not the
    fingerprint of CVE-2017-15361.

    Raises:
        InvalidArgument: one of these does not hold.
    """
    n, e = numbers.n, numbers.e
    if e < _SMALLEST_EXPONENT or e % 2 == 0 or e.bit_length() > _EXPONENT_BITS:
        raise InvalidArgument("the RSA public exponent must be odd and between 65537 and 2^256")
    if math.gcd(n, _PRIMORIAL) != 1:
        raise InvalidArgument("the RSA modulus has a small factor")
    if _has_roca_fingerprint(n):
        raise InvalidArgument("the RSA modulus has the fingerprint of CVE-2017-15361 (ROCA)")
    if _has_close_factors(n):
        raise InvalidArgument("the factors of the RSA modulus are too close to each other")


def check_private_numbers(numbers: rsa.RSAPrivateNumbers) -> None:
    """Refuse an RSA private key whose numbers are weak or do not belong together.

    Its numbers pass OpenSSL's own check, and its primes are half as long as the modulus and differ in their first
    hundred bits (FIPS 186-5, section A.1.3). That the private exponent is not short follows from the bound on the
    public one.

    Raises:
        InvalidArgument: one of these does not hold.
    """
    half = numbers.public_numbers.n.bit_length() // 2
    if not _belong_together(numbers):
        raise InvalidArgument("the numbers of the RSA private key do not belong together")
    if not numbers.p.bit_length() == numbers.q.bit_length() == half:
        raise InvalidArgument("the primes of the RSA private key are not half as long as its modulus")
    if abs(numbers.p - numbers.q).bit_length() <= half - 100:
        raise InvalidArgument("the primes of the RSA private key are too close to each other")


def _belong_together(numbers: rsa.RSAPrivateNumbers) -> bool:
    try:
        numbers.private_key()
    except ValueError:
        return False
    return True


def _has_close_factors(n: int) -> bool:
    root = math.isqrt(n)
    for a in range(root, root + _FERMAT_ROUNDS):
        square = a * a - n
        if square >= 0 and math.isqrt(square) ** 2 == square:
            return True
    return False


def _has_roca_fingerprint(n: int) -> bool:
    """Return whether n is a power of 65537 modulo every small prime.

    The flawed generator made primes that are powers of 65537 modulo a product of the first primes, so their
    product is one too (Nemec and others, "The Return of Coppersmith's Attack", 2017, section 2.1).
    """
    return all(n % prime in powers for prime, powers in _powers_of_65537().items())


@cache
def _powers_of_65537() -> dict[int, frozenset[int]]:
    return {prime: frozenset(pow(65537, k, prime) for k in range(prime)) for prime in _PRIMES}
