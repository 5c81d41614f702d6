"""What the token can do, from its own list of mechanisms (PKCS#11 2.40, section 5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keyclave.models import ALGORITHMS, AlgorithmFamily, KeyAlgorithm, get_signature_scheme
from keyclave.plugin import SchemeSupport, SignatureEncoding, SigningInput
from pkcs11 import Slot
from pkcs11.constants import MechanismFlag
from pkcs11.exceptions import MechanismInvalid
from pkcs11.mechanisms import MGF, Mechanism

__all__ = ["GENERATION", "Mechanisms", "SigningMechanism", "scheme_support"]

GENERATION: Mapping[AlgorithmFamily, Mechanism] = {
    AlgorithmFamily.RSA: Mechanism.RSA_PKCS_KEY_PAIR_GEN,
    AlgorithmFamily.EC: Mechanism.EC_KEY_PAIR_GEN,
    AlgorithmFamily.ED25519: Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
    AlgorithmFamily.AES: Mechanism.AES_KEY_GEN,
}
_ED25519_BITS = range(255, 257)  # tokens disagree
_AES_BYTES = range(32, 33)

PssParameters = tuple[Mechanism, MGF, int]


class SigningMechanism(NamedTuple):
    """How the token signs with one scheme.

    Attributes:
        mechanism: what it is called there.
        parameters: of PSS: hash, mask, and a salt as long as the digest (FIPS 186-5, section 5.4).
        prefix: what is put before a digest: DigestInfo (RFC 8017, section 9.2, note 1).
        input: whether it takes the digest, or hashes the message itself.
    """

    mechanism: Mechanism
    parameters: PssParameters | None
    prefix: bytes
    input: SigningInput


_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class Mechanisms:
    """The mechanisms of one token."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._listed = slot.get_mechanisms()

    def offers(self, mechanism: Mechanism, flag: MechanismFlag, sizes: range | None = None) -> bool:
        """Return whether the token has a mechanism, for a use, and for keys of one of these sizes."""
        if mechanism not in self._listed:
            return False
        try:
            information = self._slot.get_mechanism_info(mechanism)
        except MechanismInvalid:
            return False
        if flag not in information.flags:
            return False
        least, most = information.min_key_length or 0, information.max_key_length or 0
        return sizes is None or any(least <= size and (most == 0 or size <= most) for size in sizes)

    def in_hardware(self, mechanism: Mechanism) -> bool:
        """Return whether the token says that a mechanism is done by hardware."""
        return mechanism in self._listed and MechanismFlag.HW in self._slot.get_mechanism_info(mechanism).flags

    def algorithms(self) -> tuple[KeyAlgorithm, ...]:
        """Return the algorithms of which the token makes keys."""
        return tuple(algorithm for algorithm in ALGORITHMS.values() if self._makes(algorithm))

    def signing(self, algorithm: KeyAlgorithm) -> dict[str, SigningMechanism]:
        """Return how the token signs with each scheme of an algorithm that it has."""
        ways = ((scheme, self._way(algorithm, scheme)) for scheme in algorithm.schemes)
        return {scheme: way for scheme, way in ways if way is not None}

    def _makes(self, algorithm: KeyAlgorithm) -> bool:
        mechanism = GENERATION.get(algorithm.family)
        if mechanism is None:
            return False
        flag = MechanismFlag.GENERATE_KEY_PAIR if algorithm.signs else MechanismFlag.GENERATE
        return self.offers(mechanism, flag, _sizes(algorithm))

    def _way(self, algorithm: KeyAlgorithm, scheme: str) -> SigningMechanism | None:
        offered = (way for way in _ways(scheme) if self.offers(way.mechanism, MechanismFlag.SIGN, _sizes(algorithm)))
        return next(offered, None)


def scheme_support(scheme: str, way: SigningMechanism) -> SchemeSupport:
    """Return what the core must know of how the token signs with a scheme."""
    encoding = SignatureEncoding.P1363 if scheme.startswith("ECDSA") else SignatureEncoding.RAW
    return SchemeSupport(scheme=scheme, input=way.input, encoding=encoding)


def _sizes(algorithm: KeyAlgorithm) -> range:
    """Return the sizes that mean this algorithm where PKCS#11 says sizes: bits, and bytes for AES."""
    if algorithm.family is AlgorithmFamily.ED25519:
        return _ED25519_BITS
    if algorithm.family is AlgorithmFamily.AES:
        return _AES_BYTES
    return range(algorithm.key_size, algorithm.key_size + 1)


def _ways(scheme: str) -> tuple[SigningMechanism, ...]:
    """Return the mechanisms for a scheme; first the one that takes a digest, so that nobody hashes twice."""
    digest = get_signature_scheme(scheme).digest
    if digest is None:
        return (SigningMechanism(Mechanism.EDDSA, None, b"", SigningInput.MESSAGE),) if scheme == "ED25519" else ()
    name, size = digest.upper(), get_signature_scheme(scheme).digest_size
    if scheme.startswith("ECDSA"):
        return (
            SigningMechanism(Mechanism.ECDSA, None, b"", SigningInput.DIGEST),
            SigningMechanism(Mechanism[f"ECDSA_{name}"], None, b"", SigningInput.MESSAGE),
        )
    if scheme.startswith("RSA_PSS"):
        parameters = (Mechanism[name], MGF[name], size)
        return (
            SigningMechanism(Mechanism.RSA_PKCS_PSS, parameters, b"", SigningInput.DIGEST),
            SigningMechanism(Mechanism[f"{name}_RSA_PKCS_PSS"], parameters, b"", SigningInput.MESSAGE),
        )
    return (
        SigningMechanism(Mechanism.RSA_PKCS, None, _DIGEST_INFO[digest], SigningInput.DIGEST),
        SigningMechanism(Mechanism[f"{name}_RSA_PKCS"], None, b"", SigningInput.MESSAGE),
    )
