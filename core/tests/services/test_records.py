"""FR-010: every operation leaves one record, and without a record there is no result."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import (
    AuditUnavailable,
    BackendUnavailable,
    Conflict,
    DecryptionFailed,
    InvalidArgument,
    InvalidSignature,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.services.keys import signing
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpCounter
from opentelemetry.util.types import Attributes

from core.tests.services.failing import failing, replaced

MESSAGE = b"message"


class Counted(NoOpCounter):
    """Keeps what is counted: OpenTelemetry's SDK, which would, is not among the dependencies."""

    def __init__(self) -> None:
        super().__init__("counted")
        self.points: list[tuple[float, Attributes | None]] = []

    def add(self, amount: float, attributes: Attributes | None = None, context: Context | None = None) -> None:
        self.points.append((amount, attributes))


def kinds(clave: Keyclave) -> list[tuple[str, str]]:
    return [(record.operation_type, record.status) for record in clave.audit.records()]


@pytest.mark.parametrize("fails", [False, True])
def test_fr_010_an_operation_during_which_the_clock_is_set_back_is_recorded(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    real = time.time_ns

    def set_back(create: Callable[..., Any], request: Any) -> Any:
        monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)
        if fails:
            raise BackendUnavailable("unplugged")
        return create(request)

    with replaced(clave, "create_key", set_back):
        if fails:
            with pytest.raises(BackendUnavailable):
                clave.keys.create("k", "ED25519")
        else:
            clave.keys.create("k", "ED25519")
    assert [kind for kind in kinds(clave) if kind[0] == "KEY_GENERATION"] == [
        ("KEY_GENERATION", "FAILED" if fails else "SUCCESS")
    ]
    assert clave.audit.verify().ok


def test_fr_010_every_successful_operation_is_recorded_in_order(clave: Keyclave) -> None:
    clave.keys.create("s", "ED25519")
    clave.keys.create("e", "AES_256")
    signature = clave.keys.sign("s", MESSAGE)
    clave.keys.verify("s", MESSAGE, signature.signature)
    clave.keys.decrypt("e", clave.keys.encrypt("e", MESSAGE))
    clave.rotation.rotate("s")
    clave.backends.health()
    clave.keys.revoke("s", "test")
    clave.keys.revoke("e", "test")
    clave.keys.destroy("e", 1)
    assert kinds(clave) == [
        (kind, "SUCCESS")
        for kind in (
            "KEY_GENERATION",
            "KEY_GENERATION",
            "SIGN",
            "VERIFY",
            "ENCRYPT",
            "DECRYPT",
            "ROTATE",
            "HEALTH_CHECK",
            "REVOKE",
            "REVOKE",
            "DESTROY",
        )
    ]
    assert clave.audit.verify().ok


def test_fr_010_a_result_names_its_record(clave: Keyclave) -> None:
    handle = clave.keys.create("k", "ED25519")
    result = clave.keys.sign("k", MESSAGE)
    found = [r for r in clave.audit.records() if r.audit_trail_reference == result.audit_reference]
    assert len(found) == 1
    assert (found[0].key_handle_reference, found[0].key_version) == (str(handle.key_id), 1)
    assert (found[0].backend_id, found[0].backend_type) == ("software", "software")
    assert found[0].requesting_principal == "tester"
    assert found[0].duration is not None


def test_fr_010_every_record_of_a_backend_names_its_plugin(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k", validation_period=timedelta(hours=1))
    clave.keys.sign("k", MESSAGE)
    clave.rotation.promote("k")
    clave.rotation.rotate("k", validation_period=timedelta(hours=1))
    clave.rotation.rollback("k", "test")
    with failing(clave, "create_key", OutcomeUnknown("no answer")), pytest.raises(OutcomeUnknown):
        clave.keys.create("another", "ED25519")
    with failing(clave, "find_key", KeyNotFound("gone")):
        clave.recovery._try(clave.recovery.open_intents()[0], definite=True)
    clave.backends.health()
    found = {record.operation_type: (record.backend_id, record.backend_type) for record in clave.audit.records()}
    assert found.keys() >= {"PROMOTE", "ROLLBACK", "RECOVER", "HEALTH_CHECK", "ROTATE", "SIGN", "KEY_GENERATION"}
    assert set(found.values()) == {("software", "software")}


@pytest.mark.parametrize(
    ("call", "error", "kind"),
    [
        (lambda clave: clave.keys.create("s", "ED25519"), KeyAlreadyExists, "KEY_GENERATION"),
        (lambda clave: clave.keys.create("UPPER", "ED25519"), InvalidArgument, "KEY_GENERATION"),
        (lambda clave: clave.keys.create("new", "NONSENSE"), InvalidArgument, "KEY_GENERATION"),
        (lambda clave: clave.keys.sign("missing", MESSAGE), KeyNotFound, "SIGN"),
        (lambda clave: clave.keys.sign("s", "text"), InvalidArgument, "SIGN"),
        (lambda clave: clave.keys.sign("s", MESSAGE, scheme="ECDSA_SHA256"), InvalidArgument, "SIGN"),
        (lambda clave: clave.keys.verify("s", MESSAGE, bytes(64)), InvalidSignature, "VERIFY"),
        (lambda clave: clave.keys.encrypt("s", MESSAGE), InvalidArgument, "ENCRYPT"),
        (lambda clave: clave.keys.decrypt("e", b"KCE1" + bytes(200)), DecryptionFailed, "DECRYPT"),
        (lambda clave: clave.keys.destroy("s", 1), Conflict, "DESTROY"),
        (lambda clave: clave.keys.revoke("s", ""), InvalidArgument, "REVOKE"),
        (lambda clave: clave.rotation.rotate("missing"), KeyNotFound, "ROTATE"),
    ],
)
def test_fr_010_refused_and_failed_operations_are_recorded_once(
    clave: Keyclave, call: Callable[[Keyclave], object], error: type[KeyclaveError], kind: str
) -> None:
    clave.keys.create("s", "ED25519")
    clave.keys.create("e", "AES_256")
    with pytest.raises(error):
        call(clave)
    records = list(clave.audit.records())
    assert len(records) == 3
    assert (records[-1].operation_type, records[-1].status) == (kind, "FAILED")
    assert (records[-1].error_message or "").startswith(error.__name__)


def test_fr_010_without_a_durable_record_there_is_no_signature(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.sign("k", MESSAGE)
    blocker = sqlite3.connect(tmp_path / "state" / "keyclave.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(AuditUnavailable) as caught:
            clave.keys.sign("k", MESSAGE)
        assert caught.value.retryable
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert clave.keys.sign("k", MESSAGE).version == 1
    assert [status for kind, status in kinds(clave) if kind == "SIGN"] == ["SUCCESS", "SUCCESS"]


def test_nfr_007_a_slow_signature_is_a_warning_and_is_counted(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted = Counted()
    monkeypatch.setattr(signing, "_slow_signatures", counted)
    clave.keys.create("k", "RSA_2048")
    with caplog.at_level(logging.WARNING, logger="keyclave.signing"):
        clave.keys.sign("k", MESSAGE)
        assert "NFR-007" not in caplog.text
        assert counted.points == []
        monkeypatch.setattr(signing, "_SLOW_SECONDS", 0.0)
        clave.keys.sign("k", MESSAGE)
    assert "NFR-007" in caplog.text
    assert counted.points == [(1, {"backend": "software"})]


def test_with_auditing_off_nothing_is_recorded(config: Path) -> None:
    config.write_text(config.read_text() + "\n[environment.audit]\nenabled = false\n")
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ED25519")
        signed = clave.keys.sign("k", MESSAGE)
        assert signed.audit_reference is None
        assert clave.keys.verify("k", MESSAGE, signed.signature) == 1
        with pytest.raises(InvalidSignature):
            clave.keys.verify("k", MESSAGE + b".", signed.signature)
        assert list(clave.audit.records()) == []
