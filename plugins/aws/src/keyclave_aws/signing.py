"""Sign with keys in AWS KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey, MLDSAMuHasher
from keyclave.crypto.algorithms import load_public_key
from keyclave.errors import CapabilityUnsupported, IntegrityError, InvalidArgument
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference, Signed

from keyclave_aws.algorithms import MAX_MESSAGE, WAYS, Way
from keyclave_aws.errors import reference_of
from keyclave_aws.lookup import Lookup, require_same_key
from keyclave_aws.public_keys import PublicKeys

if TYPE_CHECKING:
    from types_boto3_kms.literals import MessageTypeType
    from types_boto3_kms.type_defs import SignResponseTypeDef

__all__ = ["Signing"]


class Signing:
    """Signs.

    Args:
        lookup: uses keys.
        public_keys: of the keys that sign.
    """

    def __init__(self, lookup: Lookup, public_keys: PublicKeys) -> None:
        self._lookup = lookup
        self._public_keys = public_keys

    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign a digest, or a message with Ed25519 and ML-DSA.

        Raises:
            InvalidArgument: the data has not the length of the scheme's digest, or is no message that KMS takes.
            CapabilityUnsupported: the key cannot sign with this scheme.
            KeyNotFound: there is no such key.
            KeyDisabled: it is disabled.
        """
        arn = self._lookup.arn_of(key)
        if scheme not in WAYS or scheme not in get_algorithm(key.algorithm).schemes:
            raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} cannot sign with {scheme}")
        way = WAYS[scheme]
        message_type, message = self._message(key, data, scheme, way)
        return self._lookup.use(
            arn,
            lambda kms: _signed(
                kms.sign(KeyId=arn, Message=message, MessageType=message_type, SigningAlgorithm=way.algorithm),
                arn,
                way,
            ),
        )

    def _message(self, key: KeyReference, data: bytes, scheme: str, way: Way) -> tuple[MessageTypeType, bytes]:
        if way.size is not None and len(data) != way.size:
            raise InvalidArgument(f"the data is not a digest for {scheme}")
        if way.size is not None or 1 <= len(data) <= MAX_MESSAGE:
            return way.message_type, data
        if scheme != "ML_DSA_65":
            raise InvalidArgument(f"AWS KMS signs messages of 1 to {MAX_MESSAGE} bytes with {scheme}")
        return "EXTERNAL_MU", _mu(self._public_keys.known(key), data)


def _signed(answer: SignResponseTypeDef, arn: str, way: Way) -> Signed:
    require_same_key(answer, arn)
    if answer["SigningAlgorithm"] != way.algorithm:
        raise IntegrityError("AWS KMS signed by another algorithm than it was asked for")
    return Signed(signature=answer["Signature"], provider_reference=reference_of(answer))


def _mu(spki: bytes, message: bytes) -> bytes:
    """Return the message representative of ML-DSA (FIPS 204, algorithm 7, line 6), of 64 bytes."""
    try:
        public_key = load_public_key(spki)
    except InvalidArgument:
        public_key = None
    if not isinstance(public_key, MLDSA65PublicKey):
        raise IntegrityError("AWS KMS has another public key than one of ML_DSA_65")
    hasher = MLDSAMuHasher(public_key)
    hasher.update(message)
    return hasher.finalize()
