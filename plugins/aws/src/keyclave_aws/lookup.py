"""Find keys: by their alias, by their tags, page by page, and what state they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from keyclave.errors import (
    AccessDenied,
    BackendUnavailable,
    Conflict,
    DecryptionFailed,
    IntegrityError,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
)
from keyclave.plugin import KeyLabel, KeyReference, Record

from keyclave_aws.addresses import require_arn
from keyclave_aws.algorithms import algorithm_of
from keyclave_aws.connection import Kms
from keyclave_aws.labels import alias_of, label_in, next_alias
from keyclave_aws.pages import items
from keyclave_aws.patience import settled

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.type_defs import KeyMetadataTypeDef

__all__ = ["FoundKey", "Lookup", "Trail", "require_same_key", "to_found"]

T = TypeVar("T")
_PAGE, _WHOLE_PAGE, _ALIASES, _TAGS = 500, 1000, 100, 50
_GONE = frozenset({"PendingDeletion", "PendingReplicaDeletion", "PendingImport"})
_UNSETTLED = frozenset({"Creating", "Updating", "Enabled"})


class FoundKey(Record, frozen=True, kw_only=True):
    """A key of Keyclave in AWS KMS.

    Attributes:
        arn: its address.
        algorithm: its algorithm.
        state: its KeyState.
        origin: its Origin.
        store: the custom key store that it is in, if any.
        created: when it was made, UTC.
        deletion: when it will be deleted, UTC, if that is scheduled and AWS says when.
    """

    arn: str
    algorithm: str
    state: str
    origin: str
    store: str | None
    created: datetime
    deletion: datetime | None

    @property
    def is_usable(self) -> bool:
        """Whether it is neither scheduled to be deleted nor still without its key material."""
        return self.state not in _GONE

    def reference(self, label: KeyLabel) -> KeyReference:
        """Return the reference to it."""
        return KeyReference(label=label, uri=self.arn, algorithm=self.algorithm)


class Trail(Record, frozen=True, kw_only=True):
    """Where the aliases of a label lead: past the keys that are destroyed, each of which names the next alias.

    Attributes:
        found: the usable key with the label's tags, if they lead to one.
        free: the alias that was not there: that of the next key with the label.
        strayed: whether one leads to a key of another label, as none of ours does.
    """

    found: FoundKey | None
    free: str
    strayed: bool


def to_found(metadata: KeyMetadataTypeDef) -> FoundKey | None:
    """Return a key from its KeyMetadata; ``None`` if it is of no algorithm of Keyclave."""
    algorithm = algorithm_of(metadata)
    if algorithm is None:
        return None
    deletion = metadata.get("DeletionDate")
    return FoundKey(
        arn=metadata["Arn"],
        algorithm=algorithm,
        state=metadata["KeyState"],
        origin=metadata["Origin"],
        store=metadata.get("CustomKeyStoreId"),
        created=metadata["CreationDate"].astimezone(UTC),
        deletion=None if deletion is None else deletion.astimezone(UTC),
    )


def require_same_key(answer: Any, arn: str) -> None:
    """Refuse an answer that is about another key.

    Raises:
        IntegrityError: its KeyId is not the ARN.
    """
    if answer["KeyId"] != arn:
        raise IntegrityError(
            "AWS KMS answered for another key", next_step="Do not trust what is between here and AWS."
        )


class Lookup:
    """Finds keys.

    Args:
        kms: calls AWS KMS.
        prefix: the first part of all aliases.
    """

    def __init__(self, kms: Kms, prefix: str) -> None:
        self._kms = kms
        self._prefix = prefix

    def address(self, key: KeyReference) -> str:
        """Return the ARN of a key that is kept here; see `keyclave_aws.addresses.require_arn`."""
        return require_arn(key.uri, self._kms.region)

    def by_label(self, label: KeyLabel) -> FoundKey:
        """Return the usable key with this label.

        Raises:
            KeyNotFound: there is none, or it is scheduled to be deleted, or was not imported yet.
        """
        trail = self.trail(label)
        found = trail.found or self._by_tags(label, trail)
        if found is None:
            raise KeyNotFound("AWS KMS has no usable key with this label")
        return found

    def trail(self, label: KeyLabel) -> Trail:
        """Follow the aliases of a label."""
        first = alias = alias_of(self._prefix, label)
        passed: set[str] = set()
        strayed = False
        while alias not in passed:
            passed.add(alias)
            try:
                arn, found = self._target(alias)
                if found is not None and found.is_usable:
                    if self.label_of(arn) == label:
                        return Trail(found=found, free=alias, strayed=strayed)
                    strayed = True
            except KeyNotFound:
                return Trail(found=None, free=alias, strayed=strayed)
            alias = next_alias(first, _id_of(arn))
        return Trail(found=None, free=alias, strayed=True)  # in a circle: somebody moved them

    def left_behind(self, label: KeyLabel, trail: Trail) -> FoundKey | None:
        """Return the usable key with this label that no alias leads to, once AWS KMS has had time to know of it."""

        def look() -> FoundKey:
            found = self._by_tags(label, trail)
            if found is None:
                raise KeyNotFound("there is none yet")
            return found

        try:
            return settled(look)
        except KeyNotFound:
            return None

    def _by_tags(self, label: KeyLabel, trail: Trail) -> FoundKey | None:
        """Look at all keys, and return the oldest usable one with the label's tags.

        A key with an alias of another label is passed over, so that a look does not take a call for each key; unless
        somebody moved the aliases.
        """
        others = frozenset() if trail.strayed else self._keys_of_other_labels(label)
        arns = (arn for arn in self._all_keys() if _id_of(arn) not in others)
        labelled = (arn for arn in arns if self._label_if_allowed(arn) == label)
        found = (key for arn in labelled if (key := self._described_if_there(arn)) is not None)
        return min((key for key in found if key.is_usable), key=lambda key: (key.created, key.arn), default=None)

    def page(self, marker: str | None) -> tuple[list[tuple[KeyLabel, FoundKey]], str | None]:
        """Return the usable keys that have a label on one page of all keys, and the marker of the next page."""
        arns, following = self._page(marker, _PAGE)
        labelled = ((label, arn) for arn in arns if (label := self._label_if_allowed(arn)) is not None)
        found = ((label, self._described_if_there(arn)) for label, arn in labelled)
        return [(label, key) for label, key in found if key is not None and key.is_usable], following

    def described(self, key_id: str) -> FoundKey | None:
        """Return the key with this ARN or alias; ``None`` if it is of no algorithm of Keyclave.

        Raises:
            KeyNotFound: there is none.
        """
        return self._kms.ask(lambda kms: to_found(kms.describe_key(KeyId=key_id)["KeyMetadata"]))

    def is_gone(self, arn: str) -> bool:
        """Return whether AWS knows the key with this ARN, and says that it is to be deleted, or empty."""
        found = self._described_if_there(arn)
        return found is not None and not found.is_usable

    def require_usable(self, arn: str, algorithm: str) -> FoundKey:
        """Return the key with this ARN.

        Raises:
            KeyNotFound: there is none, it is of another algorithm, scheduled to be deleted, or was not imported yet.
        """
        found = self.described(arn)
        if found is None or not found.is_usable or found.algorithm != algorithm:
            raise KeyNotFound("AWS KMS has no usable key of this algorithm at this address")
        return found

    def label_of(self, arn: str) -> KeyLabel | None:
        """Return the label in the tags of a key; ``None`` if it has none.

        Raises:
            KeyNotFound: there is no such key.
        """
        return self._kms.ask(lambda kms: label_in(_tags(kms, arn)))

    def use(self, arn: str, call: Callable[[KMSClient], T]) -> T:
        """Return what a call that uses a key returns; where the key's state does not allow it, say which it is.

        Raises:
            KeyNotFound: there is no such key, or it is scheduled to be deleted, or was not imported yet.
            KeyDisabled: it is disabled.
            Conflict: AWS is changing it, or somebody just did.
            BackendUnavailable: its custom key store is not connected.
            DecryptionFailed: the ciphertext is wrong, and the key may be used; AWS does not say what it checks first.
        """
        try:
            return self._kms.ask(call)
        except (KeyDisabled, Conflict, DecryptionFailed) as error:
            failure = error
        raise self.explained(arn, failure)

    def explained(self, arn: str, failure: KeyclaveError) -> KeyclaveError:
        """Return the error for a call that AWS refused for the state of the key: KMS has one code for several."""
        found = self.described(arn)
        if found is None or not found.is_usable:
            return KeyNotFound(
                "the key is scheduled to be deleted, or has no key material yet",
                provider_reference=failure.provider_reference,
            )
        if found.state == "Disabled":
            return KeyDisabled("the key is disabled in AWS KMS", provider_reference=failure.provider_reference)
        if found.state in _UNSETTLED and isinstance(failure, DecryptionFailed):
            return failure
        if found.state in _UNSETTLED:
            return Conflict("the key is being changed", provider_reference=failure.provider_reference)
        return BackendUnavailable("AWS KMS cannot reach the key", provider_reference=failure.provider_reference)

    def _target(self, alias: str) -> tuple[str, FoundKey | None]:
        """Return the ARN of the key that an alias leads to, and the key if it is of an algorithm of Keyclave."""

        def read(kms: KMSClient) -> tuple[str, FoundKey | None]:
            metadata = kms.describe_key(KeyId=alias)["KeyMetadata"]
            return metadata["Arn"], to_found(metadata)

        return self._kms.ask(read)

    def _keys_of_other_labels(self, label: KeyLabel) -> frozenset[str]:
        """Return the ids of the keys to which an alias of Keyclave leads that is not one of the label."""
        ours, own = alias_of(self._prefix, label), f"alias/{self._prefix}/"
        return frozenset(
            target
            for alias, target in self._all_aliases()
            if alias.startswith(own) and alias != ours and not alias.startswith(f"{ours}/")
        )

    def _all_aliases(self) -> Iterator[tuple[str, str]]:
        def read(kms: KMSClient, marker: str | None) -> tuple[list[tuple[str, str]], str | None]:
            page = (
                kms.list_aliases(Limit=_ALIASES)
                if marker is None
                else kms.list_aliases(Limit=_ALIASES, Marker=marker)
            )
            found = [(alias["AliasName"], alias.get("TargetKeyId", "")) for alias in page["Aliases"]]
            return found, page["NextMarker"] if page.get("Truncated") else None

        return items(lambda marker: self._kms.ask(lambda kms: read(kms, marker)))

    def _all_keys(self) -> Iterator[str]:
        return items(lambda marker: self._page(marker, _WHOLE_PAGE))

    def _page(self, marker: str | None, limit: int) -> tuple[list[str], str | None]:
        def read(kms: KMSClient) -> tuple[list[str], str | None]:
            page = kms.list_keys(Limit=limit) if marker is None else kms.list_keys(Limit=limit, Marker=marker)
            # Without a marker the rest could not be asked for: LookupError, and never a list that is not complete.
            return [key["KeyArn"] for key in page["Keys"]], page["NextMarker"] if page.get("Truncated") else None

        return self._kms.ask(read)

    def _label_if_allowed(self, arn: str) -> KeyLabel | None:
        """Return the label of a key; a key that we may not look at, or that is gone by now, is not ours."""
        try:
            return self.label_of(arn)
        except (AccessDenied, KeyNotFound):
            return None

    def _described_if_there(self, arn: str) -> FoundKey | None:
        try:
            return self.described(arn)
        except KeyNotFound:
            return None


def _id_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def _tags(kms: KMSClient, arn: str) -> Iterator[Any]:
    def read(marker: str | None) -> tuple[list[Any], str | None]:
        page = (
            kms.list_resource_tags(KeyId=arn, Limit=_TAGS)
            if marker is None
            else kms.list_resource_tags(KeyId=arn, Limit=_TAGS, Marker=marker)
        )
        return page["Tags"], page["NextMarker"] if page.get("Truncated") else None

    return items(read)
