"""Schedule the deletion of a key, which AWS KMS never does at once, and call it off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keyclave.errors import Conflict, IntegrityError, KeyAlreadyExists, KeyNotFound
from keyclave.plugin import DestroyResult, DestroyState, KeyLabel, KeyReference

from keyclave_aws.aliases import Aliases
from keyclave_aws.connection import Kms
from keyclave_aws.errors import reference_of
from keyclave_aws.lookup import Lookup, require_same_key
from keyclave_aws.notes import Notes
from keyclave_aws.patience import settled
from keyclave_aws.trails import Trails

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["SHORTEST", "Destruction", "schedule"]

SHORTEST = 7
"""The fewest days between a destruction and the end of a key."""


def schedule(kms: Kms, arn: str, days: int) -> tuple[datetime, str | None]:
    """Schedule the deletion of a key; return when it is gone, and the id of the request.

    Raises:
        KeyNotFound: there is no such key.
        Conflict: it is scheduled already, or AWS is changing it.
        OutcomeUnknown: no answer came.
    """

    def call(client: KMSClient) -> tuple[datetime, str | None]:
        answer = client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=days)
        require_same_key(answer, arn)
        # A key that has replicas is deleted after them, and AWS does not say when: not before this.
        date = answer.get("DeletionDate") or datetime.now(UTC) + timedelta(days=days)
        return date.astimezone(UTC), reference_of(answer)

    return kms.change(call)


class Destruction:
    """Destroys keys, with time to think better of it.

    Args:
        kms: calls AWS KMS.
        lookup: looks at keys.
        trails: finds keys.
        aliases: sets aliases.
        notes: of the creations and imports that were begun.
        days: how long a destruction can be called off.
    """

    def __init__(
        self, kms: Kms, lookup: Lookup, trails: Trails, aliases: Aliases, *, notes: Notes, days: int
    ) -> None:
        self._kms = kms
        self._lookup = lookup
        self._trails = trails
        self._aliases = aliases
        self._notes = notes
        self._days = days

    def destroy(self, key: KeyReference) -> DestroyResult:
        """Schedule the deletion of a key, unless it is scheduled or gone. AWS deletes its alias with it.

        Raises:
            IntegrityError: the key at this address has another label.
            OutcomeUnknown: no answer came.
        """
        arn = self._lookup.arn_of(key)
        try:
            self._require_label(arn, key.label)
        except _Gone:
            return DestroyResult(state=DestroyState.DESTROYED)
        date, reference = self._scheduled(arn)
        self._notes.remove(key.label)  # one of a call without an answer, which made this key
        return DestroyResult(state=DestroyState.SCHEDULED, scheduled_for=date, provider_reference=reference)

    def cancel(self, key: KeyReference) -> None:
        """Call the deletion of a key off, if it is scheduled: it is there again, and disabled.

        Raises:
            KeyAlreadyExists: another key of this label was made meanwhile.
            KeyNotFound: it is gone.
            IntegrityError: it has another label.
            Conflict: it is scheduled, and AWS does not call it off now.
            OutcomeUnknown: no answer came.
        """
        arn = self._lookup.arn_of(key)
        try:
            self._require_label(arn, key.label)
        except _Gone:
            raise KeyNotFound("AWS KMS has deleted the key") from None
        trail = self._trails.follow(key.label, past=arn)
        other = trail.found
        if other is None and self._called_off(arn):
            # Whoever makes a key of this label meanwhile wants the same alias, and one of both gets it.
            ours = self._lookup.require_usable(arn, key.algorithm)
            winner = self._aliases.lead(key.label, ours, trail, past=arn)
            other = None if winner.arn == arn else winner
        if other is not None:
            self._scheduled(arn)
            raise KeyAlreadyExists(
                "another key of this label was made after the destruction", next_step="Destroy that one first."
            )

    def _called_off(self, arn: str) -> bool:
        """Call the deletion of a key off; return whether it was scheduled."""
        try:
            self._kms.change(lambda kms: require_same_key(kms.cancel_key_deletion(KeyId=arn), arn))
        except Conflict as error:
            failure = error
        else:
            return True
        if self._lookup.is_gone(arn):
            raise failure
        return False

    def _scheduled(self, arn: str) -> tuple[datetime, str | None]:
        if (date := self._date(arn)) is not None:
            return date, None
        try:
            return schedule(self._kms, arn, self._days)
        except Conflict as error:
            failure = error
        if (date := self._date(arn)) is None:
            raise failure
        return date, failure.provider_reference

    def _date(self, arn: str) -> datetime | None:
        found = self._lookup.described(arn)
        return None if found is None else found.deletion

    def _require_label(self, arn: str, label: KeyLabel) -> None:
        try:
            found = settled(lambda: self._lookup.label_of(arn))  # one that was just made is not known everywhere
        except KeyNotFound:
            raise _Gone from None
        if found != label:
            raise IntegrityError(  # and not KeyNotFound: the key is there
                "the key at this address does not have this label",
                next_step="Find out who changed its tags; Keyclave destroys only what they say is its own.",
            )


class _Gone(Exception):
    """AWS has deleted the key."""
