"""Ed25519 public keys that no honest key generation makes (RFC 8032, section 5.1.3)."""

from __future__ import annotations

from keyclave.errors import InvalidArgument

__all__ = ["check_point"]

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
"""The y coordinates of the eight points whose order divides eight. Under such a key a signature can be forged
without any private key."""


def check_point(encoded: bytes) -> None:
    """Refuse 32 bytes that are not a point on the curve, not its one encoding, or a point of small order.

    Raises:
        InvalidArgument: one of these holds.
    """
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    if y >= _P or not _is_on_curve(y):
        raise InvalidArgument("the Ed25519 public key is not a point on the curve")
    if y in _SMALL_ORDER:
        raise InvalidArgument("the Ed25519 public key is a point of small order")


def _is_on_curve(y: int) -> bool:
    """Return whether x² = (y² - 1) / (d·y² + 1) has a solution, by Euler's criterion."""
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return x_squared == 0 or pow(x_squared, (_P - 1) // 2, _P) == 1
