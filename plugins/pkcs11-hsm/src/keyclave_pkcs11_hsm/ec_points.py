"""The public half of an EC private key that came into the token alone.

PKCS#11 has no call for it, and a token that unwraps a key, such as SoftHSM, keeps no public half. But the shared
secret of ECDH with the generator as the other side's key is the x coordinate of the public key, and a signature tells
which of the two points with this coordinate it is.
"""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave.crypto.encodings import p1363_to_der
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KDF, KeyType, Mechanism

from keyclave_pkcs11_hsm.key_wrapping import passing

__all__ = ["public_half"]

_GENERATOR = 1
_SIGNS = (b"\x02", b"\x03")  # SEC 1, section 2.3.3: y is even, or odd


def public_half(private_key: Any, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey | None:
    """Return the public key; ``None`` if no point of the curve verifies what the private key signs.

    Args:
        private_key: an object of the session that may sign and derive.
        curve: its curve.

    Raises:
        PKCS11Error: the token does not do ECDH or ECDSA with it.
    """
    size = (curve.key_size + 7) // 8
    x = _shared_x(private_key, curve, size)
    digest = secrets.token_bytes(32)
    signature = p1363_to_der(private_key.sign(digest, mechanism=Mechanism.ECDSA), size)
    for sign in _SIGNS:
        candidate = ec.EllipticCurvePublicKey.from_encoded_point(curve, sign + x)
        if _verifies(candidate, signature, digest):
            return candidate
    return None


def _shared_x(private_key: Any, curve: ec.EllipticCurve, size: int) -> bytes:
    generator = ec.derive_private_key(_GENERATOR, curve).public_key()
    point = generator.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = private_key.derive_key(
        KeyType.GENERIC_SECRET,
        size * 8,
        capabilities=0,
        mechanism=Mechanism.ECDH1_DERIVE,
        mechanism_param=(KDF.NULL, None, point),
        template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
    )
    with passing(shared):
        value: bytes = shared[Attribute.VALUE]
        return value


def _verifies(candidate: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> bool:
    try:
        candidate.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True
