"""What Keyclave calls an algorithm, and what AWS KMS calls it.

Sources: KeySpec, SigningAlgorithmSpec and MessageType in botocore's model of KMS (2014-11-01).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keyclave.models import ALGORITHMS, SIGNATURE_SCHEMES, AlgorithmFamily, KeyAlgorithm
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    AlgorithmSupport,
    Record,
    SchemeSupport,
    SignatureEncoding,
    SigningInput,
)

if TYPE_CHECKING:
    from types_boto3_kms.literals import (
        AlgorithmSpecType,
        KeySpecType,
        KeyUsageTypeType,
        MessageTypeType,
        SigningAlgorithmSpecType,
    )

__all__ = [
    "IMPORTABLE",
    "IMPORT_METHODS",
    "MAX_MESSAGE",
    "SPECS",
    "WAYS",
    "Way",
    "algorithm_of",
    "supported",
    "usage_of",
]

MAX_MESSAGE = 4096
"""The longest message that KMS signs as it is, and the longest plaintext that it encrypts, in bytes."""

SPECS: Mapping[str, KeySpecType] = MappingProxyType(
    {
        "RSA_2048": "RSA_2048",
        "RSA_3072": "RSA_3072",
        "RSA_4096": "RSA_4096",
        "ECDSA_P256": "ECC_NIST_P256",
        "ECDSA_P384": "ECC_NIST_P384",
        "ED25519": "ECC_NIST_EDWARDS25519",
        "ML_DSA_65": "ML_DSA_65",
        "AES_256": "SYMMETRIC_DEFAULT",
    }
)
"""The KeySpec of each algorithm."""

# AWS documents these two methods for RSA and elliptic curve keys, and for nothing else.
IMPORTABLE = frozenset({AlgorithmFamily.RSA, AlgorithmFamily.EC})
"""The keys that KMS takes from elsewhere."""
IMPORT_METHODS: Mapping[str, AlgorithmSpecType] = MappingProxyType(
    {RSA_AES_KEY_WRAP_SHA256: "RSA_AES_KEY_WRAP_SHA_256", RSA_AES_KEY_WRAP_SHA1: "RSA_AES_KEY_WRAP_SHA_1"}
)
"""The WrappingAlgorithm of each method by which it takes them, the preferred first."""


class Way(Record, frozen=True, kw_only=True):
    """How KMS signs for a scheme.

    Attributes:
        algorithm: the SigningAlgorithm.
        message_type: the MessageType, which is always sent: without one KMS would hash a digest again.
        size: the length of what is signed; ``None`` if it may be of any.
    """

    algorithm: SigningAlgorithmSpecType
    message_type: MessageTypeType
    size: int | None = None


def _digest(algorithm: SigningAlgorithmSpecType, scheme: str) -> Way:
    return Way(algorithm=algorithm, message_type="DIGEST", size=SIGNATURE_SCHEMES[scheme].digest_size)


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "RSA_PSS_SHA256": _digest("RSASSA_PSS_SHA_256", "RSA_PSS_SHA256"),
        "RSA_PSS_SHA384": _digest("RSASSA_PSS_SHA_384", "RSA_PSS_SHA384"),
        "RSA_PSS_SHA512": _digest("RSASSA_PSS_SHA_512", "RSA_PSS_SHA512"),
        "RSA_PKCS1_SHA256": _digest("RSASSA_PKCS1_V1_5_SHA_256", "RSA_PKCS1_SHA256"),
        "RSA_PKCS1_SHA384": _digest("RSASSA_PKCS1_V1_5_SHA_384", "RSA_PKCS1_SHA384"),
        "RSA_PKCS1_SHA512": _digest("RSASSA_PKCS1_V1_5_SHA_512", "RSA_PKCS1_SHA512"),
        "ECDSA_SHA256": _digest("ECDSA_SHA_256", "ECDSA_SHA256"),
        "ECDSA_SHA384": _digest("ECDSA_SHA_384", "ECDSA_SHA384"),
        # Not ED25519_PH_SHA_512: that is Ed25519ph of what it is given, another signature.
        "ED25519": Way(algorithm="ED25519_SHA_512", message_type="RAW"),
        "ML_DSA_65": Way(algorithm="ML_DSA_SHAKE_256", message_type="RAW"),
    }
)
"""How KMS signs for each scheme."""

_ALGORITHMS = {spec: name for name, spec in SPECS.items()}


def algorithm_of(key: Mapping[str, Any]) -> str | None:
    """Return the algorithm of a key, from its KeyMetadata; ``None`` if it is none of Keyclave's."""
    name = _ALGORITHMS.get(key["KeySpec"])
    return name if name is not None and key["KeyUsage"] == usage_of(ALGORITHMS[name]) else None


def usage_of(algorithm: KeyAlgorithm) -> KeyUsageTypeType:
    """Return what a key may be used for, in KMS for one thing only."""
    return "SIGN_VERIFY" if algorithm.signs else "ENCRYPT_DECRYPT"


def supported(*, custom_key_store: bool) -> tuple[AlgorithmSupport, ...]:
    """Return what KMS does with keys of each algorithm; a custom key store has symmetric keys only."""
    return tuple(_support(ALGORITHMS[name]) for name in SPECS if not (custom_key_store and ALGORITHMS[name].signs))


def _support(algorithm: KeyAlgorithm) -> AlgorithmSupport:
    if not algorithm.signs:
        return AlgorithmSupport(algorithm=algorithm.name, min_plaintext=1, max_plaintext=MAX_MESSAGE, binds_aad=True)
    encoding = SignatureEncoding.DER if algorithm.family is AlgorithmFamily.EC else SignatureEncoding.RAW
    return AlgorithmSupport(
        algorithm=algorithm.name,
        schemes=tuple(
            SchemeSupport(
                scheme=scheme,
                input=SigningInput.MESSAGE if WAYS[scheme].size is None else SigningInput.DIGEST,
                encoding=encoding,
                min_input=1 if algorithm.family is AlgorithmFamily.ED25519 else 0,
                max_input=MAX_MESSAGE if algorithm.family is AlgorithmFamily.ED25519 else None,
            )
            for scheme in algorithm.schemes
        ),
        import_methods=tuple(IMPORT_METHODS) if algorithm.family in IMPORTABLE else (),
    )
