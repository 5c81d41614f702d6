"""The rows and columns of the matrix: what Keyclave asks of KMS, and what can happen to it on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_tests.faulty import Place
from keyclave.errors import BackendUnavailable, DeadlineExceeded, KeyclaveError, OutcomeUnknown, Throttled
from keyclave.plugin import CreatedKey
from keyclave_aws.backend import AwsBackend

from tests.services import faults
from tests.services.faults import Fault

__all__ = ["FAULTS", "HARMLESS", "OPERATIONS", "SILENT", "Expected", "Operation"]

DIGEST = bytes(range(32))
_THROTTLED = b'{"__type":"ThrottlingException","message":"Rate exceeded"}'
_INTERNAL = b'{"__type":"KMSInternalException","message":"see arn:aws:kms:us-east-1:111122223333:key/1"}'
_UNAVAILABLE = b"<html>503 Service Unavailable</html>"


@dataclass(frozen=True)
class Expected:
    """What a fault becomes: the error of a call that only asks, and of one that changes something."""

    fault: Fault
    asks: type[KeyclaveError]
    changes: type[KeyclaveError]

    def error(self, *, changes: bool) -> type[KeyclaveError]:
        """Return the one or the other."""
        return self.changes if changes else self.asks


FAULTS: Mapping[str, Expected] = {
    "lost before": Expected(faults.lost_before, BackendUnavailable, OutcomeUnknown),
    "cut short": Expected(faults.cut_short, BackendUnavailable, OutcomeUnknown),
    "lost after": Expected(faults.lost_after, BackendUnavailable, OutcomeUnknown),
    "truncated": Expected(faults.truncated, BackendUnavailable, OutcomeUnknown),
    "429": Expected(faults.answered(429), Throttled, Throttled),
    "429 with Retry-After": Expected(faults.answered(429, b"", {"Retry-After": "2"}), Throttled, Throttled),
    "ThrottlingException": Expected(faults.answered(400, _THROTTLED), Throttled, Throttled),
    "500": Expected(faults.answered(500, _INTERNAL), BackendUnavailable, OutcomeUnknown),
    "503": Expected(faults.answered(503, _UNAVAILABLE), BackendUnavailable, OutcomeUnknown),
}
"""What ends a call."""

SILENT: Mapping[str, Expected] = {
    "unheard": Expected(faults.unheard, DeadlineExceeded, OutcomeUnknown),
    "unanswered": Expected(faults.unanswered, DeadlineExceeded, OutcomeUnknown),
}
"""What a call ends itself, once it has waited for long enough."""

HARMLESS: Mapping[str, Fault] = {
    "byte by byte": faults.byte_by_byte,
    "delayed": faults.delayed(0.2),
    "repeated": faults.repeated,
}
"""What a call survives."""


@dataclass(frozen=True)
class Operation:
    """A call of the backend, and the one operation of KMS in it that the fault comes to.

    Attributes:
        target: that operation.
        act: the call; called again, it does what is left to do, and returns the same.
        prepare: what happens before, without a fault; what it returns is given to ``act``.
        check: raises unless KMS is as it should be after the call.
    """

    target: str
    act: Callable[[Place, AwsBackend, Any], object]
    prepare: Callable[[Place, AwsBackend], Any]
    check: Callable[[Place, Any], None] = lambda _place, _prepared: None

    @property
    def changes(self) -> bool:
        """Whether the operation of KMS changes something."""
        return not self.target.startswith(("Describe", "Get", "List", "Sign", "Encrypt", "Decrypt"))


def _made(place: Place, backend: AwsBackend) -> CreatedKey:
    return place.create(backend)


def _nameless(place: Place, backend: AwsBackend) -> CreatedKey:
    created = place.create(backend)
    place.forget_aliases()
    return created


def _scheduled(place: Place, backend: AwsBackend) -> CreatedKey:
    created = place.create(backend)
    backend.destroy_key(key=created.reference)
    return created


def _disabled(place: Place, backend: AwsBackend) -> CreatedKey:
    created = place.create(backend)
    backend.disable_key(key=created.reference)
    return created


def _encrypted(place: Place, backend: AwsBackend) -> tuple[CreatedKey, bytes]:
    created = place.create(backend, algorithm="AES_256")
    return created, backend.encrypt(key=created.reference, plaintext=b"secret", aad=b"aad").ciphertext


def _one(place: Place, label: Any) -> None:
    assert len(place.arns(label)) == 1


def _is(state: str) -> Callable[[Place, CreatedKey], None]:
    def check(place: Place, created: CreatedKey) -> None:
        assert place.state(created.reference.uri) == state

    return check


def _create(target: str) -> Operation:
    return Operation(
        target,
        lambda place, backend, label: place.create(backend, label).reference,
        lambda place, _: place.label(),
        _one,
    )


def _find(target: str, prepare: Callable[[Place, AwsBackend], CreatedKey]) -> Operation:
    def act(_: Place, backend: AwsBackend, created: CreatedKey) -> object:
        found = backend.find_key(label=created.reference.label)
        assert found == created.reference
        return found

    return Operation(target, act, prepare)


def _decrypt(_: Place, backend: AwsBackend, encrypted: tuple[CreatedKey, bytes]) -> object:
    created, ciphertext = encrypted
    plaintext = backend.decrypt(key=created.reference, ciphertext=ciphertext, aad=b"aad").plaintext
    assert plaintext == b"secret"
    return plaintext


def _encrypt(place: Place, backend: AwsBackend, encrypted: tuple[CreatedKey, bytes]) -> None:
    created, _ = encrypted
    again = backend.encrypt(key=created.reference, plaintext=b"secret", aad=b"aad").ciphertext
    _decrypt(place, backend, (created, again))


OPERATIONS: Mapping[str, Operation] = {
    "create: is there an alias": _create("DescribeKey"),
    "create": _create("CreateKey"),
    "create: set the alias": _create("CreateAlias"),
    "create: public key": _create("GetPublicKey"),
    "find by alias": _find("DescribeKey", _made),
    "find by tags: list": _find("ListKeys", _nameless),
    "find by tags: tags": _find("ListResourceTags", _nameless),
    "list": Operation("ListKeys", lambda _p, b, _c: len(b.list_keys(page=None).keys), _made),
    "public key": Operation("GetPublicKey", lambda _p, b, c: b.public_key(key=c.reference), _made),
    "sign": Operation(
        "Sign",
        lambda _p, b, c: len(b.sign(key=c.reference, data=DIGEST, scheme="ECDSA_SHA256").signature) > 64,
        _made,
    ),
    "encrypt": Operation("Encrypt", _encrypt, _encrypted),
    "decrypt": Operation("Decrypt", _decrypt, _encrypted),
    "disable": Operation("DisableKey", lambda _p, b, c: b.disable_key(key=c.reference), _made, _is("Disabled")),
    "enable": Operation("EnableKey", lambda _p, b, c: b.enable_key(key=c.reference), _disabled, _is("Enabled")),
    "destroy": Operation(
        "ScheduleKeyDeletion",
        lambda _p, b, c: b.destroy_key(key=c.reference).state,
        _made,
        _is("PendingDeletion"),
    ),
    "cancel": Operation(
        "CancelKeyDeletion", lambda _p, b, c: b.cancel_destruction(key=c.reference), _scheduled, _is("Disabled")
    ),
}
