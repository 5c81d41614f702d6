"""Public keys. That of an ARN never changes, so it is asked for once where only its value matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyclave.crypto.key_checks import check_public_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyDisabled
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference

from keyclave_aws.lookup import Lookup, require_same_key

if TYPE_CHECKING:
    from types_boto3_kms.type_defs import GetPublicKeyResponseTypeDef

__all__ = ["PublicKeys"]


class PublicKeys:
    """The public keys of asymmetric keys.

    Args:
        lookup: uses keys.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, bytes] = {}

    def read(self, key: KeyReference) -> bytes:
        """Return the public key as AWS has it now, as DER SubjectPublicKeyInfo; it is not checked.

        Raises:
            CapabilityUnsupported: it is a symmetric key.
            KeyNotFound: there is no such key.
            KeyDisabled: it is disabled, and its public key was not read before.
        """
        arn = self._lookup.arn_of(key)
        if not get_algorithm(key.algorithm).signs:
            raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} has no public key")
        self._lookup.require_usable(arn, key.algorithm)  # AWS may give the public key of one that is to be deleted
        try:
            spki = self._lookup.use(arn, lambda kms: _spki(kms.get_public_key(KeyId=arn), arn))
        except KeyDisabled:
            if arn in self._known:
                return self._known[arn]
            raise
        if _is_good(spki, key.algorithm):
            self._known[arn] = spki
        return spki

    def known(self, key: KeyReference) -> bytes:
        """Return the public key, without asking for it twice."""
        return self._known.get(key.uri) or self.read(key)


def _spki(answer: GetPublicKeyResponseTypeDef, arn: str) -> bytes:
    require_same_key(answer, arn)
    return answer["PublicKey"]


def _is_good(spki: bytes, algorithm: str) -> bool:
    try:
        check_public_key(spki, algorithm)
    except InvalidArgument:
        return False
    return True
