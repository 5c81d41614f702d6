"""RSA keys of a backend as `cryptography`'s `RSAPrivateKey`."""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as paddings
from cryptography.hazmat.primitives.asymmetric import rsa

from keyclave.integrations.backend_key import BackendKey, split_hash

__all__ = ["BackendRSAKey"]

_WORKS = "PKCS1v15 or PSS (MGF1 over the same hash, salt_length=PSS.DIGEST_LENGTH) with SHA-256, SHA-384 or SHA-512"
_HASHES = ("sha256", "sha384", "sha512")


class BackendRSAKey(BackendKey, rsa.RSAPrivateKey):
    """An RSA private key that signs in its backend."""

    @property
    def key_size(self) -> int:
        """Size of the modulus in bits."""
        return self._algorithm.key_size

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """Return the raw signature of a message, or with ``Prehashed`` of its digest (RFC 8017).

        Raises:
            InvalidArgument: the backend cannot sign with this padding, salt length or hash.
        """
        hash_algorithm, prehashed = split_hash(algorithm)
        if hash_algorithm is None or hash_algorithm.name not in _HASHES:
            raise self._refused(f"the hash {_named(hash_algorithm or algorithm)}", _WORKS)
        if isinstance(padding, paddings.PKCS1v15):
            scheme = "PKCS1"
        elif isinstance(padding, paddings.PSS) and _is_usual(padding, hash_algorithm):
            scheme = "PSS"
        else:
            raise self._refused(f"this {_named(padding)} padding", _WORKS)
        return self._run(data, f"RSA_{scheme}_{hash_algorithm.name.upper()}", prehashed=prehashed)

    def private_numbers(self) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("its numbers cannot be read")

    def decrypt(self, ciphertext: Any, padding: Any) -> NoReturn:
        """Refuse: signing keys do not decrypt."""
        raise self._stays("it signs, and decrypts nothing")


def _is_usual(padding: paddings.PSS, wanted: hashes.HashAlgorithm) -> bool:
    """Whether the mask uses the hash of the message, and the salt is as long as its digest (RFC 7518, 3.5)."""
    if not isinstance(padding.mgf, paddings.MGF1):
        return False
    mask_hash, salt = padding.mgf._algorithm, padding._salt_length  # noqa: SLF001  the library shows them nowhere else
    return mask_hash.name == wanted.name and salt in (paddings.PSS.DIGEST_LENGTH, wanted.digest_size)


def _named(thing: object) -> str:
    return str(getattr(thing, "name", type(thing).__name__))
