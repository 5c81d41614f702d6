"""Look at keys: by their address, page by page, and what state they are in."""

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
from keyclave_aws.labels import label_in
from keyclave_aws.pages import items

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.type_defs import KeyMetadataTypeDef

__all__ = ["FoundKey", "Lookup", "id_of", "require_same_key", "to_found"]

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
    """Looks at keys.

    Args:
        kms: calls AWS KMS.
    """

    def __init__(self, kms: Kms) -> None:
        self._kms = kms

    def arn_of(self, key: KeyReference) -> str:
        """Return the address of a key, without asking AWS.

        Raises:
            KeyNotFound: it is no ARN of a key.
            ConfigurationError: the key is in another region.
        """
        return require_arn(key.uri, self._kms.region)

    def page(self, marker: str | None) -> tuple[list[tuple[KeyLabel, FoundKey]], str | None]:
        """Return the usable keys that have a label on one page of all keys, and the marker of the next page."""
        arns, following = self._page(marker, _PAGE)
        labelled = ((label, arn) for arn in arns if (label := self._label_if_allowed(arn)) is not None)
        found = ((label, self._described_if_there(arn)) for label, arn in labelled)
        return [(label, key) for label, key in found if key is not None and key.is_usable], following

    def all_keys(self) -> Iterator[str]:
        """Return the ARNs of all keys of the region."""
        return items(lambda marker: self._page(marker, _WHOLE_PAGE))

    def all_aliases(self) -> Iterator[tuple[str, str]]:
        """Return all aliases of the region, each with the id of the key that it leads to."""

        def read(kms: KMSClient, marker: str | None) -> tuple[list[tuple[str, str]], str | None]:
            page = (
                kms.list_aliases(Limit=_ALIASES)
                if marker is None
                else kms.list_aliases(Limit=_ALIASES, Marker=marker)
            )
            found = [(alias["AliasName"], alias.get("TargetKeyId", "")) for alias in page["Aliases"]]
            return found, page["NextMarker"] if page.get("Truncated") else None

        return items(lambda marker: self._kms.ask(lambda kms: read(kms, marker)))

    def target(self, alias: str) -> tuple[str, FoundKey | None]:
        """Return the ARN of the key that an alias leads to, and the key if it is of an algorithm of Keyclave.

        Raises:
            KeyNotFound: there is no such alias.
        """

        def read(kms: KMSClient) -> tuple[str, FoundKey | None]:
            metadata = kms.describe_key(KeyId=alias)["KeyMetadata"]
            return metadata["Arn"], to_found(metadata)

        return self._kms.ask(read)

    def labelled(self, label: KeyLabel, but_for: frozenset[str] = frozenset()) -> Iterator[FoundKey]:
        """Look at the tags of all keys, but for some ids, and return the keys with this label, in whatever state."""
        arns = (arn for arn in self.all_keys() if id_of(arn) not in but_for)
        ours = (arn for arn in arns if self._label_if_allowed(arn) == label)
        return (key for arn in ours if (key := self._described_if_there(arn)) is not None)

    def described(self, key_id: str) -> FoundKey | None:
        """Return the key with this ARN; ``None`` if it is of no algorithm of Keyclave.

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


def id_of(arn: str) -> str:
    """Return the id in the ARN of a key."""
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
