"""The registry of named key algorithms and signature schemes.

Names, sizes and encodings only; `keyclave.crypto` gives them their meaning.
Sources: RSA PKCS#1 v1.5, PSS and OAEP, RFC 8017; ECDSA, FIPS 186-5; Ed25519, RFC 8032; ML-DSA, FIPS 204;
AES-GCM, NIST SP 800-38D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from keyclave.errors import InvalidArgument

__all__ = [
    "ALGORITHMS",
    "SIGNATURE_SCHEMES",
    "AlgorithmFamily",
    "KeyAlgorithm",
    "KeyOperation",
    "SignatureScheme",
    "get_algorithm",
    "get_signature_scheme",
    "scheme_for",
]


class KeyOperation(StrEnum):
    """What a key may be used for."""

    SIGN = "SIGN"
    VERIFY = "VERIFY"
    ENCRYPT = "ENCRYPT"
    DECRYPT = "DECRYPT"
    WRAP_KEY = "WRAP_KEY"
    UNWRAP_KEY = "UNWRAP_KEY"


class AlgorithmFamily(StrEnum):
    """The mathematics behind a key."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "ED25519"
    ML_DSA = "ML_DSA"
    AES = "AES"


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """How a signature is made.

    Attributes:
        name: the name in settings, results and the audit log.
        digest: the hash function that the scheme applies to the message first (``sha256``, ``sha384``,
            ``sha512``), or ``None`` where the scheme takes the whole message (Ed25519, ML-DSA).
        digest_size: length of that digest in bytes, 0 where there is none.
    """

    name: str
    digest: str | None = None
    digest_size: int = 0


@dataclass(frozen=True, slots=True)
class KeyAlgorithm:
    """A kind of key.

    Attributes:
        name: the name in settings, results and the audit log.
        family: the mathematics behind it.
        key_size: size in bits: RSA modulus, curve order, AES key; 0 where the name says it all.
        schemes: the signature schemes that a key of this kind can sign with, the default first.
        operations: what a key of this kind may be used for.
    """

    name: str
    family: AlgorithmFamily
    key_size: int
    schemes: tuple[str, ...]
    operations: tuple[KeyOperation, ...]

    @property
    def signs(self) -> bool:
        """Whether a key of this kind signs; the others encrypt."""
        return KeyOperation.SIGN in self.operations


_DIGESTS = (("256", 32), ("384", 48), ("512", 64))
_SCHEMES = (
    *(SignatureScheme(f"RSA_PSS_SHA{bits}", f"sha{bits}", size) for bits, size in _DIGESTS),
    *(SignatureScheme(f"RSA_PKCS1_SHA{bits}", f"sha{bits}", size) for bits, size in _DIGESTS),
    SignatureScheme("ECDSA_SHA256", "sha256", 32),
    SignatureScheme("ECDSA_SHA384", "sha384", 48),
    SignatureScheme("ED25519"),
    SignatureScheme("ML_DSA_65"),
)
_RSA_SCHEMES = tuple(scheme.name for scheme in _SCHEMES if scheme.name.startswith("RSA_"))
_SIGNING = (KeyOperation.SIGN, KeyOperation.VERIFY)
_ENCRYPTION = (KeyOperation.ENCRYPT, KeyOperation.DECRYPT)

SIGNATURE_SCHEMES: Mapping[str, SignatureScheme] = MappingProxyType({scheme.name: scheme for scheme in _SCHEMES})
ALGORITHMS: Mapping[str, KeyAlgorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            *(
                KeyAlgorithm(f"RSA_{bits}", AlgorithmFamily.RSA, bits, _RSA_SCHEMES, _SIGNING)
                for bits in (2048, 3072, 4096)
            ),
            KeyAlgorithm("ECDSA_P256", AlgorithmFamily.EC, 256, ("ECDSA_SHA256",), _SIGNING),
            KeyAlgorithm("ECDSA_P384", AlgorithmFamily.EC, 384, ("ECDSA_SHA384",), _SIGNING),
            KeyAlgorithm("ED25519", AlgorithmFamily.ED25519, 0, ("ED25519",), _SIGNING),
            KeyAlgorithm("ML_DSA_65", AlgorithmFamily.ML_DSA, 0, ("ML_DSA_65",), _SIGNING),
            KeyAlgorithm("AES_256", AlgorithmFamily.AES, 256, (), _ENCRYPTION),
        )
    }
)


def get_algorithm(name: str) -> KeyAlgorithm:
    """Return the algorithm of that name; raise ``InvalidArgument`` for an unknown one.

    Examples:
        >>> get_algorithm("ECDSA_P256").schemes
        ('ECDSA_SHA256',)
    """
    try:
        return ALGORITHMS[name]
    except (KeyError, TypeError):
        raise InvalidArgument(
            f"unknown algorithm {name!r}", next_step=f"Use one of {', '.join(ALGORITHMS)}."
        ) from None


def get_signature_scheme(name: str) -> SignatureScheme:
    """Return the scheme of that name; raise ``InvalidArgument`` for an unknown one."""
    try:
        return SIGNATURE_SCHEMES[name]
    except (KeyError, TypeError):
        raise InvalidArgument(
            f"unknown signature scheme {name!r}", next_step=f"Use one of {', '.join(SIGNATURE_SCHEMES)}."
        ) from None


def scheme_for(algorithm: KeyAlgorithm, scheme: str | None) -> SignatureScheme:
    """Return the scheme to sign with: the named one, or the algorithm's default.

    Raises:
        InvalidArgument: the scheme is unknown, or a key of this algorithm cannot sign with it.

    Examples:
        >>> scheme_for(get_algorithm("RSA_2048"), None).name
        'RSA_PSS_SHA256'
    """
    if not algorithm.schemes:
        raise InvalidArgument(
            f"a key of algorithm {algorithm.name} encrypts, it does not sign",
            next_step="Use encrypt and decrypt with this key, or create a key that signs.",
        )
    chosen = algorithm.schemes[0] if scheme is None else get_signature_scheme(scheme).name
    if chosen not in algorithm.schemes:
        raise InvalidArgument(
            f"a key of algorithm {algorithm.name} cannot sign with {chosen}",
            next_step=f"Use one of {', '.join(algorithm.schemes)}.",
        )
    return SIGNATURE_SCHEMES[chosen]
