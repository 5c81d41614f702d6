"""What KMS makes keys of: for each key spec, its usages, its algorithms, and the material.

Of the specs in the service model, those that Keyclave has a name for, and HMAC.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

__all__ = ["SPECS", "Spec"]

_PSS_AND_PKCS1 = tuple(f"RSASSA_{scheme}_SHA_{size}" for scheme in ("PSS", "PKCS1_V1_5") for size in (256, 384, 512))
_OAEP = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")


@dataclass(frozen=True)
class Spec:
    """One key spec.

    Attributes:
        generate: makes the material: a private key of ``cryptography``, or the bytes of a secret one.
        algorithms: for each usage that a key may have, its algorithms.
        secret_bytes: the length of a secret key; None for a key pair.
    """

    generate: Callable[[], Any]
    algorithms: Mapping[str, tuple[str, ...]]
    secret_bytes: int | None = None


def _rsa(bits: int) -> Spec:
    return Spec(
        lambda: rsa.generate_private_key(65537, bits), {"SIGN_VERIFY": _PSS_AND_PKCS1, "ENCRYPT_DECRYPT": _OAEP}
    )


def _ec(curve: ec.EllipticCurve, algorithm: str) -> Spec:
    return Spec(lambda: ec.generate_private_key(curve), {"SIGN_VERIFY": (algorithm,)})


def _secret(length: int, usage: str, algorithm: str) -> Spec:
    return Spec(lambda: os.urandom(length), {usage: (algorithm,)}, length)


SPECS: Mapping[str, Spec] = {
    "RSA_2048": _rsa(2048),
    "RSA_3072": _rsa(3072),
    "RSA_4096": _rsa(4096),
    "ECC_NIST_P256": _ec(ec.SECP256R1(), "ECDSA_SHA_256"),
    "ECC_NIST_P384": _ec(ec.SECP384R1(), "ECDSA_SHA_384"),
    "ECC_NIST_P521": _ec(ec.SECP521R1(), "ECDSA_SHA_512"),
    "ECC_NIST_EDWARDS25519": Spec(ed25519.Ed25519PrivateKey.generate, {"SIGN_VERIFY": ("ED25519_SHA_512",)}),
    "ML_DSA_44": Spec(mldsa.MLDSA44PrivateKey.generate, {"SIGN_VERIFY": ("ML_DSA_SHAKE_256",)}),
    "ML_DSA_65": Spec(mldsa.MLDSA65PrivateKey.generate, {"SIGN_VERIFY": ("ML_DSA_SHAKE_256",)}),
    "ML_DSA_87": Spec(mldsa.MLDSA87PrivateKey.generate, {"SIGN_VERIFY": ("ML_DSA_SHAKE_256",)}),
    "SYMMETRIC_DEFAULT": _secret(32, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"),
    "HMAC_224": _secret(28, "GENERATE_VERIFY_MAC", "HMAC_SHA_224"),
    "HMAC_256": _secret(32, "GENERATE_VERIFY_MAC", "HMAC_SHA_256"),
    "HMAC_384": _secret(48, "GENERATE_VERIFY_MAC", "HMAC_SHA_384"),
    "HMAC_512": _secret(64, "GENERATE_VERIFY_MAC", "HMAC_SHA_512"),
}
