"""Create a key once: KMS has no idempotency token, so the label in a key's tags says which call made it."""

from __future__ import annotations

from keyclave.errors import KeyAlreadyExists, KeyclaveError, KeyNotFound, OutcomeUnknown
from keyclave.plugin import CreateKeyRequest, KeyLabel

from keyclave_aws.aliases import Aliases
from keyclave_aws.connection import Kms
from keyclave_aws.destruction import SHORTEST, schedule
from keyclave_aws.lookup import FoundKey, Lookup
from keyclave_aws.making import Made, Maker
from keyclave_aws.notes import Notes
from keyclave_aws.patience import settled

__all__ = ["Creation"]


class Creation:
    """Creates keys.

    Args:
        kms: calls AWS KMS.
        lookup: finds keys.
        aliases: sets aliases.
        maker: makes keys.
        notes: of the creations that were begun.
    """

    def __init__(self, kms: Kms, lookup: Lookup, aliases: Aliases, maker: Maker, notes: Notes) -> None:
        self._kms = kms
        self._lookup = lookup
        self._aliases = aliases
        self._maker = maker
        self._notes = notes

    def create(self, request: CreateKeyRequest) -> Made:
        """Return the key with this label: the one that is there, or else a new one.

        Raises:
            KeyAlreadyExists: the one that is there is of another algorithm.
            CapabilityUnsupported: there are no keys of this algorithm.
            OutcomeUnknown: no answer came; the same call will look for what was made.
        """
        label = request.label
        begun = self._notes.has(label)
        found = self._usable_by_alias(label)
        if found is None and begun:
            found = self._left_behind(label)
        if found is not None:
            self._finish(label, found)
            return _of_algorithm(found, request.algorithm), None
        return self._create(label, request.algorithm, begun=begun)

    def _create(self, label: KeyLabel, algorithm: str, *, begun: bool) -> Made:
        self._notes.write(label)
        try:
            made, reference = self._maker.make(label, algorithm)
        except OutcomeUnknown:
            raise
        except KeyclaveError:  # and not an interrupt, which may come after the request
            if not begun:  # else what an earlier call made may still show up
                self._notes.remove(label)
            raise
        return self._finish(label, made), reference

    def _finish(self, label: KeyLabel, found: FoundKey) -> FoundKey:
        """Set the alias, which is the moment at which one of several calls wins; return the key that it leads to."""
        if not settled(lambda: self._aliases.set(label, found.arn)):
            winner = self._usable_by_alias(label)
            if winner is not None and winner.arn != found.arn:
                schedule(self._kms, found.arn, SHORTEST)  # nobody has seen this one
                found = winner
        self._notes.remove(label)
        return found

    def _left_behind(self, label: KeyLabel) -> FoundKey | None:
        """Return the key that an earlier call with this label made, if it came that far."""

        def look() -> FoundKey:
            found = self._lookup.by_tags(label)
            if found is None or not found.is_usable:
                raise KeyNotFound("there is none yet")
            return found

        try:
            return settled(look)
        except KeyNotFound:
            return None

    def _usable_by_alias(self, label: KeyLabel) -> FoundKey | None:
        found = self._lookup.by_alias(label)
        return found if found is not None and found.is_usable else None


def _of_algorithm(found: FoundKey, algorithm: str) -> FoundKey:
    if found.algorithm != algorithm:
        raise KeyAlreadyExists(f"a key of this label exists, and is of algorithm {found.algorithm}")
    return found
