"""The two encodings of an ECDSA signature: DER and P1363.

DER is Ecdsa-Sig-Value (RFC 3279, section 2.2.3). P1363 is r and s side by side, each big-endian and padded with
zeros to the size of a coordinate (IEEE 1363; RFC 7518, section 3.4).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keyclave.errors import InvalidArgument, VerificationError

__all__ = ["der_to_p1363", "p1363_to_der"]

_ORDERS = {32: ec.SECP256R1().group_order, 48: ec.SECP384R1().group_order}


def p1363_to_der(signature: bytes, coordinate_size: int) -> bytes:
    """Return the DER form of a signature.

    Args:
        signature: r and s, ``coordinate_size`` bytes each.
        coordinate_size: 32 for P-256, 48 for P-384.

    Raises:
        InvalidArgument: there is no such curve.
        VerificationError: the length is wrong, or r or s is not between 1 and the order of the curve.

    >>> p1363_to_der(bytes.fromhex("7f".zfill(64) + "80".zfill(64)), 32).hex()
    '300702017f02020080'
    """
    order = _order(coordinate_size)
    if len(signature) != 2 * coordinate_size:
        raise VerificationError(f"a signature of {2 * coordinate_size} bytes was expected, not {len(signature)}")
    r = int.from_bytes(signature[:coordinate_size], "big")
    s = int.from_bytes(signature[coordinate_size:], "big")
    _require_range(r, s, order)
    return encode_dss_signature(r, s)


def der_to_p1363(signature: bytes, coordinate_size: int) -> bytes:
    """Return the P1363 form of a signature: ``2 * coordinate_size`` bytes.

    Args:
        signature: Ecdsa-Sig-Value in strict DER: shortest lengths, shortest integers, nothing after it.
        coordinate_size: 32 for P-256, 48 for P-384.

    Raises:
        InvalidArgument: there is no such curve.
        VerificationError: it is not strict DER, or r or s is not between 1 and the order of the curve.

    >>> der_to_p1363(bytes.fromhex("300702017f02020080"), 32).hex() == "7f".zfill(64) + "80".zfill(64)
    True
    """
    order = _order(coordinate_size)
    try:
        r, s = decode_dss_signature(signature)
        canonical = encode_dss_signature(r, s)
    except ValueError:
        canonical = None
    if canonical is None or canonical != signature:
        raise VerificationError("the signature is not a DER Ecdsa-Sig-Value")
    _require_range(r, s, order)
    return r.to_bytes(coordinate_size, "big") + s.to_bytes(coordinate_size, "big")


def _order(coordinate_size: int) -> int:
    try:
        return _ORDERS[coordinate_size]
    except (KeyError, TypeError):
        raise InvalidArgument(f"no curve is registered with coordinates of {coordinate_size!r} bytes") from None


def _require_range(r: int, s: int, order: int) -> None:
    if not (0 < r < order and 0 < s < order):
        raise VerificationError("r or s of the signature is out of range")
