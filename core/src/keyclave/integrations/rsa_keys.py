"""RSA keys of a backend as `cryptography`'s `RSAPrivateKey`."""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding as paddings
from cryptography.hazmat.primitives.asymmetric import rsa

from keyclave.errors import CapabilityUnsupported
from keyclave.integrations.backend_key import BackendKey, wanted_hash

__all__ = ["BackendRSAKey"]

_WORKS = "PKCS1v15, or PSS with MGF1 over the same hash and salt_length=PSS.DIGEST_LENGTH,"


class BackendRSAKey(BackendKey, rsa.RSAPrivateKey):
    """An RSA private key that signs in its backend."""

    @property
    def key_size(self) -> int:
        """Size of the modulus in bits."""
        return self._algorithm.key_size

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """Return the raw signature of a message, or with ``Prehashed`` of its digest (RFC 8017).

        Raises:
            InvalidArgument: the key does not sign with this padding, salt length or hash.
            CapabilityUnsupported: the backend chose another salt length for PSS; what names the length asked for,
                as certificates and tokens do, would not verify.
        """
        if isinstance(padding, paddings.PKCS1v15):
            return self._run_hashed(data, "RSA_PKCS1", algorithm)
        if not isinstance(padding, paddings.PSS) or not _is_usual(padding, algorithm):
            raise self._refused(f"this {getattr(padding, 'name', type(padding).__name__)} padding", _WORKS)
        signature = self._run_hashed(data, "RSA_PSS", algorithm)
        self._require_salt(signature, data, padding, algorithm)
        return signature

    def private_numbers(self) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("its numbers cannot be read")

    def decrypt(self, ciphertext: Any, padding: Any) -> NoReturn:
        """Refuse: signing keys do not decrypt."""
        raise self._stays("it signs, and decrypts nothing")

    def _require_salt(self, signature: bytes, *signed: Any) -> None:
        """Backends may choose the length of the salt, and verification accepts any; what names it does not."""
        try:
            self._public_key.verify(signature, *signed)
        except InvalidSignature:
            pass
        else:
            return
        raise CapabilityUnsupported(
            "the backend does not sign with PSS and a salt as long as the digest",
            operation="sign",
            key_name=self._name,
            next_step="Use PKCS1v15, or keys.sign and keys.verify, which take a salt of any length.",
        )


def _is_usual(padding: paddings.PSS, algorithm: Any) -> bool:
    """Whether the mask uses the hash of the message, and the salt is as long as its digest (RFC 7518, 3.5)."""
    wanted = wanted_hash(algorithm)
    if wanted is None or not isinstance(padding.mgf, paddings.MGF1):
        return False
    mask_hash, salt = padding.mgf._algorithm, padding._salt_length  # noqa: SLF001  the library shows them nowhere else
    return mask_hash.name == wanted.name and salt in (paddings.PSS.DIGEST_LENGTH, wanted.digest_size)
