"""A KMS for tests, written for them: it speaks the protocol of AWS KMS, and is neither AWS nor one of its emulators.

It is for what the emulators do not show: lists in pages, ML-DSA, DryRun, every wrapping algorithm, waiting periods,
permissions, throttling, expired credentials. It is made from the service model in botocore and from AWS's
documentation, not from the plugin, and does what they say; where they say nothing, what it does shows nothing.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.services.kms import aliases, encryption, importing, lifecycle, listing, signing
from tests.services.kms.account import Account
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import ACCOUNT
from tests.services.kms.wire import MODEL, decode, encode

__all__ = ["Call", "Kms", "Reply"]

_TARGET = "TrentService."
_OPERATIONS = {
    **lifecycle.OPERATIONS,
    **aliases.OPERATIONS,
    **listing.OPERATIONS,
    **signing.OPERATIONS,
    **encryption.OPERATIONS,
    **importing.OPERATIONS,
}


@dataclass(frozen=True)
class Call:
    """A request that came in.

    Attributes:
        code: of the error, or None if it was answered.
        request_id: what its answer was called.
    """

    operation: str
    request: Mapping[str, Any]
    access_key: str
    request_id: str
    code: str | None


@dataclass(frozen=True)
class Reply:
    """What goes back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Kms:
    """The service.

    Attributes:
        account: the keys and the clock.
        denied: operations for which the caller lacks the permission.
        expired: access keys whose session has ended.
        calls: all requests, in the order in which they were answered.
    """

    account: Account = field(default_factory=Account)
    denied: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    _failures: dict[str, list[KmsFailure]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, operation: str, failure: KmsFailure, times: int = 1) -> None:
        """Let the next requests of an operation fail, without effect."""
        with self._lock:
            self._failures.setdefault(operation, []).extend([failure] * times)

    def count(self, operation: str) -> int:
        """Return how often an operation was asked for."""
        return sum(call.operation == operation for call in self.calls)

    def reply(self, target: str, authorization: str, body: bytes) -> Reply:
        """Do what a request asks for.

        Args:
            target: its X-Amz-Target header.
            authorization: its Authorization header; it is read, but not verified.
            body: JSON.
        """
        operation, access_key, request_id = (
            target.removeprefix(_TARGET),
            _access_key(authorization),
            str(uuid.uuid4()),
        )
        request: Mapping[str, Any] = {}
        with self._lock:
            code = None
            try:
                request = self._admit(operation, access_key, body)
                answer, reply = _OPERATIONS[operation](self.account, request), None
            except KmsFailure as failure:
                code, answer, reply = failure.code, {}, _refusal(failure, request_id)
            self.calls.append(Call(operation, request, access_key, request_id, code))
        return reply or _answer(operation, answer, request_id)

    def _admit(self, operation: str, access_key: str, body: bytes) -> Mapping[str, Any]:
        """Return the decoded request if it may be done."""
        if operation not in _OPERATIONS:
            raise KmsFailure("UnknownOperationException")
        if not access_key:
            raise KmsFailure("MissingAuthenticationTokenException", "Missing Authentication Token")
        if access_key in self.expired:
            raise KmsFailure("ExpiredTokenException", "The security token included in the request is expired")
        if pending := self._failures.get(operation):
            raise pending.pop(0)
        self.account.keyring.delete_due(self.account.clock())
        request: Mapping[str, Any] = decode(_shape(operation, "input_shape"), json.loads(body))
        if operation in self.denied:
            who = f"arn:aws:iam::{ACCOUNT}:user/{access_key}"
            raise KmsFailure("AccessDeniedException", f"User: {who} is not authorized to perform: kms:{operation}")
        return request


def _access_key(authorization: str) -> str:
    found = re.search(r"Credential=([^/]+)/", authorization)
    return found[1] if found else ""


def _shape(operation: str, which: str) -> Any:
    return getattr(MODEL.operation_model(operation), which)


def _answer(operation: str, answer: Mapping[str, Any], request_id: str) -> Reply:
    shape = _shape(operation, "output_shape")
    return _reply(200, {} if shape is None else encode(shape, answer), request_id)


def _refusal(failure: KmsFailure, request_id: str) -> Reply:
    extra = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    return _reply(failure.status, {"__type": failure.code, "message": failure.message}, request_id, extra)


def _reply(status: int, content: Any, request_id: str, extra: Mapping[str, str] | None = None) -> Reply:
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id, **(extra or {})}
    return Reply(status, headers, json.dumps(content).encode())
