"""EC keys of a backend as `cryptography`'s `EllipticCurvePrivateKey`."""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec

from keyclave.integrations.backend_key import BackendKey

__all__ = ["BackendECKey"]


class BackendECKey(BackendKey, ec.EllipticCurvePrivateKey):
    """An EC private key that signs in its backend."""

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the key."""
        curve: ec.EllipticCurve = self._public_key.curve
        return curve

    @property
    def key_size(self) -> int:
        """Size of the curve's order in bits."""
        return self._algorithm.key_size

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """Return the DER signature (RFC 3279) of a message, or with ``Prehashed`` of its digest (FIPS 186-5).

        Raises:
            InvalidArgument: the key does not sign with this hash, or deterministic signatures are asked for.
        """
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise self._refused(type(signature_algorithm).__name__, "ECDSA")
        if signature_algorithm.deterministic_signing:
            raise self._refused("deterministic ECDSA", "randomised ECDSA")
        return self._run_hashed(data, "ECDSA", signature_algorithm.algorithm)

    def private_numbers(self) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("its numbers cannot be read")

    def exchange(self, algorithm: Any, peer_public_key: Any) -> NoReturn:
        """Refuse: signing keys exchange nothing."""
        raise self._stays("it signs, and exchanges no secrets")
