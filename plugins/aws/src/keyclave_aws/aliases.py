"""Aliases: CreateAlias is the one call of KMS that only one of several callers can win, so it chooses between keys.

A key that is destroyed keeps its alias, which KMS deletes with it. Whoever moved or deleted an alias could take it
from the key that another process has just made, since neither depends on where it leads. So the next key of the label
gets an alias of its own, which is named after the destroyed one: see `keyclave_aws.trails`. A key whose destruction
is called off takes that alias as well, so that it and a key that is made just then cannot both win.
"""

from __future__ import annotations

from keyclave.errors import Conflict, KeyAlreadyExists, KeyNotFound
from keyclave.plugin import KeyLabel

from keyclave_aws.connection import Kms
from keyclave_aws.lookup import FoundKey, Lookup
from keyclave_aws.patience import settled
from keyclave_aws.trails import Trail, Trails

__all__ = ["Aliases"]


class Aliases:
    """The aliases of keys.

    Args:
        kms: calls AWS KMS.
        lookup: says what state a key is in.
        trails: follows aliases.
    """

    def __init__(self, kms: Kms, lookup: Lookup, trails: Trails) -> None:
        self._kms = kms
        self._lookup = lookup
        self._trails = trails

    def lead(self, label: KeyLabel, key: FoundKey, trail: Trail, *, past: str | None = None) -> FoundKey:
        """Let the aliases of a label lead to a key; return the one that they lead to, ours or a faster one.

        Args:
            label: the label.
            key: a usable key with the label.
            trail: where the aliases led a moment ago.
            past: the ARN of a key that is passed as if it were destroyed.

        Raises:
            KeyNotFound: somebody has destroyed the key, or AWS does not know it, or an alias's, after seconds either.
            OutcomeUnknown: no answer came.
        """

        def attempt(trail: Trail) -> FoundKey:
            while trail.found is None:
                if self._set(trail.free, key.arn):
                    return key
                taken, trail = trail.free, self._trails.follow(label, past=past)
                if trail.found is None and trail.free == taken:
                    raise KeyNotFound("an alias of this label is there, and AWS KMS does not say yet where it leads")
            return trail.found

        first = [trail]
        return settled(
            lambda: attempt(first.pop() if first else self._trails.follow(label, past=past)),
            in_vain=lambda: self._lookup.is_gone(key.arn),
        )

    def _set(self, alias: str, arn: str) -> bool:
        try:
            self._kms.change(lambda kms: kms.create_alias(AliasName=alias, TargetKeyId=arn))
        except KeyAlreadyExists:
            return False
        except Conflict as error:
            failure = error
        else:
            return True
        raise self._lookup.explained(arn, failure)
