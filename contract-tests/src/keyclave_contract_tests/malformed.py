"""Signatures that are wrong in their form: cut, padded, in another encoding, or with numbers out of range.

Sources: Ecdsa-Sig-Value, RFC 3279, section 2.2.3; DER, X.690; s of Ed25519, RFC 8032, section 5.1.7; RSA, RFC 8017,
section 5.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keyclave_contract_tests import oracle

__all__ = ["malformed"]

_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_SEQUENCE, _SET, _LONG_LENGTH, _INDEFINITE = b"\x30", b"\x31", b"\x81", b"\x80"


def malformed(signature: bytes, spki: bytes, scheme: str) -> Iterator[tuple[str, bytes]]:
    """Return malformed signatures made from a right one in its public form, each with what it is."""
    yield "an empty signature", b""
    yield "one zero byte as a signature", bytes(1)
    yield "a signature of zeros", bytes(len(signature))
    yield "a signature of ones", b"\xff" * len(signature)
    yield "a signature without its first byte", signature[1:]
    yield "a signature without its last byte", signature[:-1]
    yield "a signature with a zero byte before it", b"\x00" + signature
    yield "a signature with a byte after it", signature + b"\x00"
    yield "a signature with text after it", signature + b" trailing garbage"
    yield "a signature twice", signature * 2
    yield "a signature in hexadecimal", signature.hex().encode()
    if scheme.startswith("ECDSA"):
        yield from _ecdsa(signature, oracle.load(spki).curve.group_order)
    elif scheme == "ED25519":
        s = int.from_bytes(signature[32:], "little") + _ED25519_ORDER
        yield "a signature whose s is too large by the order", signature[:32] + s.to_bytes(32, "little")
    elif scheme.startswith("RSA"):
        s = int.from_bytes(signature, "big") + oracle.load(spki).public_numbers().n
        yield "a signature that is too large by the modulus", s.to_bytes(len(signature) + 1, "big").lstrip(b"\x00")


def _ecdsa(signature: bytes, order: int) -> Iterator[tuple[str, bytes]]:
    r, s = decode_dss_signature(signature)
    yield "a signature whose r is zero", encode_dss_signature(0, s)
    yield "a signature whose s is zero", encode_dss_signature(r, 0)
    yield "a signature whose r and s are zero", encode_dss_signature(0, 0)
    yield "a signature whose r is the order", encode_dss_signature(order, s)
    yield "a signature whose r is too large by the order", encode_dss_signature(r + order, s)
    yield "a signature whose s is too large by the order", encode_dss_signature(r, s + order)
    size = (order.bit_length() + 7) // 8
    yield "a signature as r and s side by side", r.to_bytes(size, "big") + s.to_bytes(size, "big")
    content = encode_dss_signature(r, s)[2:]  # of fewer than 128 bytes, so its length has one byte
    length = len(content).to_bytes(1, "big")
    yield "a signature of another ASN.1 type", _SET + length + content
    yield "a signature with a length in the long form", _SEQUENCE + _LONG_LENGTH + length + content
    yield "a signature of indefinite length", _SEQUENCE + _INDEFINITE + content + bytes(2)
    padded = content[:1] + (content[1] + 1).to_bytes(1, "big") + bytes(1) + content[2:]
    yield "a signature whose r has a needless zero", _SEQUENCE + len(padded).to_bytes(1, "big") + padded
