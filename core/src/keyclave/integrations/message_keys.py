"""Keys that sign whole messages: Ed25519 and ML-DSA-65, as `cryptography`'s own private keys."""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from keyclave.integrations.backend_key import BackendKey

__all__ = ["BackendEd25519Key", "BackendMLDSA65Key"]


class BackendEd25519Key(BackendKey, ed25519.Ed25519PrivateKey):
    """An Ed25519 private key that signs in its backend."""

    def sign(self, data: Any) -> bytes:
        """Return the signature of a message, 64 bytes (RFC 8032)."""
        return self._run(data, "ED25519")

    def private_bytes_raw(self) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("it cannot be serialised")


class BackendMLDSA65Key(BackendKey, mldsa.MLDSA65PrivateKey):
    """An ML-DSA-65 private key that signs in its backend."""

    def sign(self, data: Any, context: Any = None) -> bytes:
        """Return the signature of a message, 3309 bytes (FIPS 204).

        Raises:
            InvalidArgument: a context is given; backends sign with the empty one.
        """
        if context:
            raise self._refused("a context", "no context")
        return self._run(data, "ML_DSA_65")

    def sign_mu(self, mu: Any) -> NoReturn:
        """Refuse: backends sign messages."""
        raise self._refused("a message representative", "the message")

    def private_bytes_raw(self) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("it cannot be serialised")
