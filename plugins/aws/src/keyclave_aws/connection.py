"""The client of AWS KMS: one for each backend, shared by all threads, and made anew when its credentials expire."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from keyclave.errors import AuthenticationFailed, BackendUnavailable, KeyclaveError
from keyclave.plugin import Record

from keyclave_aws.errors import is_expired, translate
from keyclave_aws.silence import SILENCE

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

    from keyclave_aws.credentials import Identity

__all__ = ["Connection", "Kms"]

T = TypeVar("T")
# Beside the SDK's own: what its parsers, and the look at an answer, raise when the answer is not what it should be.
# Too deep JSON is a RuntimeError, and so is a date that no calendar has; another one is an ArithmeticError.
_MALFORMED = (ResponseParserError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
_FAILURES = (BotoCoreError, ClientError, OSError, *_MALFORMED)


class Connection(Record, frozen=True, kw_only=True):
    """A client, and as whom it calls.

    Attributes:
        client: the client.
        identity: where its credentials came from.
        ca_bundle: the file with the authorities that it believes; ``None`` for those of the SDK.
    """

    client: KMSClient
    identity: Identity
    ca_bundle: str | None = None


class Kms:
    """Calls AWS KMS.

    Args:
        connect: makes a connection with the credentials as they are now.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._connection = connect()

    @property
    def identity(self) -> Identity:
        """Where the credentials came from."""
        return self._connection.identity

    @property
    def endpoint(self) -> str:
        """The URL that is called."""
        url: str = self._connection.client.meta.endpoint_url
        return url

    @property
    def ca_bundle(self) -> str | None:
        """The file with the authorities whose certificates are believed, if it is not the SDK's."""
        return self._connection.ca_bundle

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child of the process that connected."""
        return os.getpid() != self._process

    @property
    def region(self) -> str:
        """The region that is called."""
        return self._connection.client.meta.region_name

    def ask(self, call: Callable[[KMSClient], T]) -> T:
        """Return what a call that changes nothing returns.

        Args:
            call: calls the client, and takes what it needs out of the answer.

        Raises:
            KeyclaveError: see `keyclave_aws.errors`.
        """
        return self._run(call, changes=False)

    def change(self, call: Callable[[KMSClient], T]) -> T:
        """Return what a call that changes something returns.

        Raises:
            OutcomeUnknown: it was sent, and no answer came that says whether it was carried out.
            KeyclaveError: see `keyclave_aws.errors`.
        """
        return self._run(call, changes=True)

    def close(self) -> None:
        """Close the connections."""
        self._connection.client.close()

    def _run(self, call: Callable[[KMSClient], T], *, changes: bool) -> T:
        if self.is_inherited:
            raise _forked()
        connection = self._connection
        try:
            with SILENCE:
                return call(connection.client)
        except KeyclaveError:
            raise
        except ClientError as error:
            failure = None if is_expired(error) else _translated(error, connection, changes=changes)
        except _FAILURES as error:
            failure = _translated(error, connection, changes=changes)
        if failure is not None:
            raise failure
        return self._run_renewed(call, connection, changes=changes)

    def _run_renewed(self, call: Callable[[KMSClient], T], expired: Connection, *, changes: bool) -> T:
        """Make the call once more, with new credentials: AWS refused the old ones, so nothing was done."""
        with self._lock:
            if self._connection is expired:
                self._connection = self._connect()
            connection = self._connection
        try:
            with SILENCE:
                return call(connection.client)
        except KeyclaveError:
            raise
        except _FAILURES as error:
            failure = _translated(error, connection, changes=changes)
        raise failure


def _translated(error: Exception, connection: Connection, *, changes: bool) -> KeyclaveError:
    """Return what to raise; where AWS refuses the credentials, with their source.

    A backend that was not opened can show it nowhere else.
    """
    failure = translate(error, changes=changes)
    if isinstance(failure, AuthenticationFailed):
        failure.message += f"; the credentials come from {connection.identity.source}"
    return failure


def _forked() -> BackendUnavailable:
    """Return the error for a child whose sockets are its parent's: each would read what the other one asked for."""
    return BackendUnavailable(
        "this process was forked from the one that opened the backend, and has no connection of its own",
        retryable=False,
        next_step="Open Keyclave in the child process, or start it by spawn.",
    )
