"""Let a key be used, or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from keyclave.errors import Conflict
from keyclave.plugin import KeyReference

from keyclave_aws.connection import Kms
from keyclave_aws.lookup import Lookup

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["Enabling"]


class Enabling:
    """Enables and disables keys.

    Args:
        kms: calls AWS KMS.
        lookup: says what state a key is in.
    """

    def __init__(self, kms: Kms, lookup: Lookup) -> None:
        self._kms = kms
        self._lookup = lookup

    def enable(self, key: KeyReference) -> None:
        """Let the key be used.

        Raises:
            KeyNotFound: there is no such key, or it is scheduled to be deleted.
            OutcomeUnknown: no answer came.
        """
        arn = self._lookup.address(key)
        self._change(arn, lambda kms: kms.enable_key(KeyId=arn))

    def disable(self, key: KeyReference) -> None:
        """Refuse the key for every use.

        Raises:
            KeyNotFound: there is no such key, or it is scheduled to be deleted.
            OutcomeUnknown: no answer came.
        """
        arn = self._lookup.address(key)
        self._change(arn, lambda kms: kms.disable_key(KeyId=arn))

    def _change(self, arn: str, call: Callable[[KMSClient], object]) -> None:
        try:
            self._kms.change(call)
        except Conflict as error:
            failure = error
        else:
            return
        raise self._lookup.explained(arn, failure)
