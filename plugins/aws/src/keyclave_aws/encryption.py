"""Encrypt data keys with symmetric keys in AWS KMS.

Associated data is bound as its SHA-256, in the encryption context: KMS writes that to CloudTrail in clear, and
associated data may be private. There is always exactly that one entry, for empty associated data as well.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument
from keyclave.models import get_algorithm
from keyclave.plugin import Decrypted, Encrypted, KeyReference

from keyclave_aws.algorithms import MAX_MESSAGE
from keyclave_aws.errors import reference_of
from keyclave_aws.lookup import Lookup, require_same_key

if TYPE_CHECKING:
    from types_boto3_kms.type_defs import DecryptResponseTypeDef, EncryptResponseTypeDef

__all__ = ["CONTEXT_KEY", "Encryption"]

CONTEXT_KEY = "keyclave-aad-sha256"
"""The one entry of the encryption context."""
_LONGEST_CIPHERTEXT = 6144  # CiphertextType in the model of KMS


class Encryption:
    """Encrypts and decrypts.

    Args:
        lookup: uses keys.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt up to 4096 bytes, and bind the associated data.

        Raises:
            InvalidArgument: the plaintext is longer, or empty.
            CapabilityUnsupported: the key signs.
            KeyNotFound: there is no such key.
            KeyDisabled: it is disabled.
        """
        arn = self._address(key)
        if not 1 <= len(plaintext) <= MAX_MESSAGE:
            raise InvalidArgument(f"AWS KMS encrypts 1 to {MAX_MESSAGE} bytes")
        context = _context(aad)
        return self._lookup.use(
            arn,
            lambda kms: _encrypted(
                kms.encrypt(
                    KeyId=arn,
                    Plaintext=plaintext,
                    EncryptionContext=context,
                    EncryptionAlgorithm="SYMMETRIC_DEFAULT",
                ),
                arn,
            ),
        )

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt what ``encrypt`` returned.

        Raises:
            DecryptionFailed: ciphertext, key and associated data do not belong together.
            CapabilityUnsupported: the key signs.
            KeyNotFound: there is no such key.
            KeyDisabled: it is disabled.
        """
        arn = self._address(key)
        if not 1 <= len(ciphertext) <= _LONGEST_CIPHERTEXT:
            raise DecryptionFailed("the ciphertext, the key and the associated data do not belong together")
        context = _context(aad)
        return self._lookup.use(
            arn,
            lambda kms: _decrypted(
                kms.decrypt(
                    KeyId=arn,  # without it KMS would take any key that the ciphertext names
                    CiphertextBlob=ciphertext,
                    EncryptionContext=context,
                    EncryptionAlgorithm="SYMMETRIC_DEFAULT",
                ),
                arn,
            ),
        )

    def _address(self, key: KeyReference) -> str:
        if get_algorithm(key.algorithm).signs:
            raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} does not encrypt")
        return self._lookup.address(key)


def _context(aad: bytes) -> dict[str, str]:
    return {CONTEXT_KEY: hashlib.sha256(aad).hexdigest()}


def _encrypted(answer: EncryptResponseTypeDef, arn: str) -> Encrypted:
    require_same_key(answer, arn)
    return Encrypted(ciphertext=answer["CiphertextBlob"], provider_reference=reference_of(answer))


def _decrypted(answer: DecryptResponseTypeDef, arn: str) -> Decrypted:
    require_same_key(answer, arn)
    return Decrypted(plaintext=answer["Plaintext"], provider_reference=reference_of(answer))
