"""RSA keys that are weak on purpose."""

from __future__ import annotations

import math
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_BASES = (2, 3, 5, 7, 11, 13, 17, 19)
_PRIMES = [p for p in range(2, 702) if all(p % d for d in range(2, math.isqrt(p) + 1))]
_PRODUCT = math.prod(_PRIMES)


def is_prime(n: int) -> bool:
    """Miller and Rabin's test: enough for large numbers that nobody chose to deceive it."""
    if math.gcd(n, _PRODUCT) != 1:
        return False
    twos = ((n - 1) & -(n - 1)).bit_length() - 1
    for base in _BASES:
        x = pow(base, (n - 1) >> twos, n)
        if x not in {1, n - 1} and not any((x := x * x % n) == n - 1 for _ in range(twos - 1)):
            return False
    return True


def prime_from(start: int) -> int:
    """Return the first prime from ``start`` on that 65537 - 1 leaves usable as an RSA factor."""
    candidate = start | 1
    while not (is_prime(candidate) and math.gcd(candidate - 1, 65537) == 1):
        candidate += 2
    return candidate


def random_prime() -> int:
    """Return a prime of 1024 bits whose first two bits are set."""
    return prime_from(secrets.randbits(1024) | 3 << 1022)


def roca_prime() -> int:
    """Return a prime of 1024 bits of the form k·M + 65537^a mod M, M the product of the first 126 primes.

    This is what the generator of CVE-2017-15361 made for keys of 2048 bits.
    """
    assert len(_PRIMES) == 126
    smallest, largest = (3 << 1022) // _PRODUCT + 1, (1 << 1024) // _PRODUCT - 1
    while True:
        k = smallest + secrets.randbelow(largest - smallest)
        candidate = k * _PRODUCT + pow(65537, secrets.randbits(200), _PRODUCT)
        if is_prime(candidate):
            return candidate


def private_key(p: int, q: int, e: int = 65537) -> rsa.RSAPrivateKey:
    """Return the RSA key with these primes."""
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    ).private_key()


def spki_of(n: int, e: int = 65537) -> bytes:
    """Return the SubjectPublicKeyInfo of an RSA public key."""
    return (
        rsa.RSAPublicNumbers(e, n)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
