"""The nonces of ECDSA signatures, computed from signatures of a known private key (FIPS 186-5, section 6.4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from keyclave_contract_tests import oracle

__all__ = ["bits_set", "nonce_of"]


def nonce_of(private: ec.EllipticCurvePrivateKey, scheme: str, message: bytes, signature: bytes) -> int | None:
    """Return the nonce of a signature in DER, or its negative: a signer may have negated s, and k with it.

    Returns ``None`` for a signature that this private key did not make over this message.
    """
    order = private.curve.group_order
    r, s = decode_dss_signature(signature)
    digest = int.from_bytes(oracle.digest(message, scheme), "big")
    nonce = pow(s, -1, order) * (digest + r * private.private_numbers().private_value) % order
    point = ec.derive_private_key(nonce, private.curve).public_key().public_numbers()
    return nonce if point.x % order == r else None


def bits_set(nonces: Sequence[int], bits: int) -> list[int]:
    """Return for each bit, the lowest first, in how many nonces it is set."""
    return [sum(nonce >> place & 1 for nonce in nonces) for place in range(bits)]
