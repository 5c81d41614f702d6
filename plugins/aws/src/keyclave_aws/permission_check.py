"""Which permissions the identity lacks: looked at where AWS tells without doing anything, and never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from keyclave.errors import AccessDenied, BackendUnavailable, KeyclaveError
from keyclave.models import get_algorithm
from keyclave.plugin import PermissionReport

from keyclave_aws.algorithms import WAYS
from keyclave_aws.connection import Kms
from keyclave_aws.encryption import CONTEXT_KEY
from keyclave_aws.errors import code_of
from keyclave_aws.health import look
from keyclave_aws.lookup import FoundKey, Lookup
from keyclave_aws.permissions import actions

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["PermissionCheck"]

_Probe = Callable[["KMSClient"], object]


class PermissionCheck:
    """Looks at permissions.

    Args:
        kms: calls AWS KMS.
        lookup: finds keys to look with.
        prefix: the first part of all aliases.
    """

    def __init__(self, kms: Kms, lookup: Lookup, prefix: str) -> None:
        self._kms = kms
        self._lookup = lookup
        self._prefix = prefix

    def report(self) -> PermissionReport:
        """Return what is missing, and what cannot be told: what changes something, or needs a key that is not there.

        Raises:
            BackendUnavailable: AWS cannot be reached.
        """
        allowed = {"kms:DescribeKey": self._allows(lambda: look(self._kms, self._prefix)), **self._on_keys()}
        return PermissionReport(
            missing=tuple(action for action in actions() if allowed.get(action) is False),
            unchecked=tuple(action for action in actions() if allowed.get(action) is None),
        )

    def _on_keys(self) -> dict[str, bool | None]:
        listed = self._allows(lambda: self._kms.ask(lambda kms: kms.list_keys(Limit=1)))
        aliases = self._allows(lambda: self._kms.ask(lambda kms: kms.list_aliases(Limit=1)))
        allowed: dict[str, bool | None] = {"kms:ListKeys": listed, "kms:ListAliases": aliases}
        if listed is False:
            return allowed
        for key in self._samples():
            allowed["kms:ListResourceTags"] = True
            for action, probe in _probes(key).items():
                allowed[action] = self._allows(partial(self._kms.ask, probe))
        return allowed

    def _samples(self) -> Iterator[FoundKey]:
        """Return a key of Keyclave that signs and one that encrypts, as far as there are any on the first page."""
        try:
            found, _ = self._lookup.page(None)
        except AccessDenied:  # of DescribeKey
            return
        samples = {key.algorithm == "AES_256": key for _, key in found if key.state == "Enabled"}
        yield from samples.values()

    def _allows(self, call: Callable[[], object]) -> bool | None:
        """Return whether AWS lets a call pass; ``None`` if it refuses it for another reason."""
        try:
            call()
        except AccessDenied:
            return False
        except BackendUnavailable:
            raise
        except KeyclaveError:
            return None
        return True


def _probes(key: FoundKey) -> dict[str, _Probe]:
    arn = key.arn
    if key.algorithm == "AES_256":
        context = {CONTEXT_KEY: ""}
        return {
            "kms:Encrypt": _dry(
                lambda kms: kms.encrypt(KeyId=arn, Plaintext=b"\x00", EncryptionContext=context, DryRun=True)
            ),
            "kms:Decrypt": _dry(
                lambda kms: kms.decrypt(KeyId=arn, CiphertextBlob=b"\x00", EncryptionContext=context, DryRun=True)
            ),
        }
    return {
        "kms:GetPublicKey": lambda kms: kms.get_public_key(KeyId=arn),
        "kms:Sign": _dry(lambda kms: _sign(kms, key)),
    }


def _sign(kms: KMSClient, key: FoundKey) -> object:
    way = WAYS[get_algorithm(key.algorithm).schemes[0]]
    message = bytes(way.size or 1)
    return kms.sign(
        KeyId=key.arn, Message=message, MessageType=way.message_type, SigningAlgorithm=way.algorithm, DryRun=True
    )


def _dry(call: _Probe) -> _Probe:
    """Return a probe that asks AWS only to try: it refuses with a code that says that all is well."""

    def probe(kms: KMSClient) -> object:
        try:
            return call(kms)
        except ClientError as error:
            if code_of(error) != "DryRunOperationException":
                raise
        return None

    return probe
