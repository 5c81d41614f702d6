"""Create a key once: KMS has no idempotency token, so the label in a key's tags says which call made it."""

from __future__ import annotations

from keyclave.errors import IntegrityError, KeyAlreadyExists, KeyclaveError, OutcomeUnknown
from keyclave.plugin import CreateKeyRequest

from keyclave_aws.aliases import Aliases
from keyclave_aws.connection import Kms
from keyclave_aws.destruction import SHORTEST, schedule
from keyclave_aws.lookup import FoundKey
from keyclave_aws.making import Made, Maker
from keyclave_aws.notes import Notes
from keyclave_aws.trails import Trail, Trails

__all__ = ["Creation"]


class Creation:
    """Creates keys.

    Args:
        kms: calls AWS KMS.
        trails: finds keys.
        aliases: sets aliases.
        maker: makes keys.
        notes: of the creations that were begun.
    """

    def __init__(self, kms: Kms, trails: Trails, aliases: Aliases, maker: Maker, notes: Notes) -> None:
        self._kms = kms
        self._trails = trails
        self._aliases = aliases
        self._maker = maker
        self._notes = notes

    def create(self, request: CreateKeyRequest) -> Made:
        """Return the key with this label: the one that is there, or else a new one.

        Raises:
            KeyAlreadyExists: the one that is there is of another algorithm.
            IntegrityError: the one that is there was not made by AWS, so that somebody else may have a copy of it.
            CapabilityUnsupported: there are no keys of this algorithm.
            Conflict: AWS is about to delete a destroyed key of this label.
            OutcomeUnknown: no answer came; the same call will look for what was made.
        """
        label = request.label
        begun = self._notes.has(label)
        found, trail = self._trails.end(label, begun=begun)
        if found is not None:
            return _as_asked_for(self._finish(request, found, trail), request.algorithm), None
        return self._create(request, trail, begun=begun)

    def _create(self, request: CreateKeyRequest, trail: Trail, *, begun: bool) -> Made:
        label = request.label
        self._notes.write(label)
        try:
            made, reference = self._maker.make(label, request.algorithm)
        except OutcomeUnknown:
            raise
        except KeyclaveError:  # and not an interrupt, which may come after the request
            if not begun:  # else what an earlier call made may still show up
                self._notes.remove(label)
            raise
        return _as_asked_for(self._finish(request, made, trail), request.algorithm), reference

    def _finish(self, request: CreateKeyRequest, found: FoundKey, trail: Trail) -> FoundKey:
        """Set the alias, which is the moment at which one of several calls wins; return the key that it leads to."""
        winner = self._aliases.lead(request.label, found, trail)
        if winner.arn != found.arn:
            schedule(self._kms, found.arn, SHORTEST)  # nobody has seen this one
        self._notes.remove(request.label)
        return winner


def _as_asked_for(found: FoundKey, algorithm: str) -> FoundKey:
    if found.algorithm != algorithm:
        raise KeyAlreadyExists(f"a key of this label exists, and is of algorithm {found.algorithm}")
    if found.origin not in {"AWS_KMS", "AWS_CLOUDHSM"}:
        raise IntegrityError(
            "a key of this label exists, and was not made by AWS",
            next_step="Find out who imported it and gave it the tags of Keyclave.",
        )
    return found
