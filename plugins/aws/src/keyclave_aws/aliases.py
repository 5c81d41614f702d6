"""Aliases: set after a key is there, removed when its destruction is scheduled."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import KeyAlreadyExists, KeyNotFound
from keyclave.plugin import KeyLabel

from keyclave_aws.connection import Kms
from keyclave_aws.labels import alias_of

__all__ = ["Aliases"]


class Aliases:
    """The aliases of keys.

    Args:
        kms: calls AWS KMS.
        prefix: the first part of all aliases.
    """

    def __init__(self, kms: Kms, prefix: str) -> None:
        self._kms = kms
        self._prefix = prefix

    def set(self, label: KeyLabel, arn: str) -> bool:
        """Let the alias of the label lead to the key; return ``False`` if there is such an alias already."""
        alias = alias_of(self._prefix, label)
        try:
            self._kms.change(lambda kms: kms.create_alias(AliasName=alias, TargetKeyId=arn))
        except KeyAlreadyExists:
            return False
        return True

    def remove(self, label: KeyLabel) -> None:
        """Remove the alias of the label, whether there is one or not."""
        alias = alias_of(self._prefix, label)
        with suppress(KeyNotFound):
            self._kms.change(lambda kms: kms.delete_alias(AliasName=alias))
