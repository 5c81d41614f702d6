"""Old and new version both sign for a while, until the new one takes over or is given up (FR-017)."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave import Keyclave, RotationPolicy
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    IntegrityError,
    InvalidArgument,
    InvalidSignature,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import KeyStatus, OperationType
from keyclave.plugin import Signed
from keyclave.services import recovery

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced

MESSAGE = b"signed by both"
DAY = timedelta(days=1)


@pytest.fixture
def rotating(clave: Keyclave) -> Keyclave:
    """A key whose second version is under validation."""
    clave.keys.create("k", "ECDSA_P256", policy=RotationPolicy(validation_period=DAY))
    clave.rotation.rotate("k")
    return clave


def statuses(clave: Keyclave) -> list[str]:
    return [version.status.value for version in clave.keys.versions("k")]


def key_files(tmp_path: Path) -> int:
    return len([p for p in (tmp_path / "state" / "backends" / "software").glob("*.key") if len(p.stem) == 32])


def verify_independently(clave: Keyclave, version: int, signature: bytes) -> None:
    public_key = clave.keys.public_key("k", version)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_fr_017_both_versions_sign_during_the_validation_period(clave: Keyclave) -> None:
    created = clave.keys.create("k", "ECDSA_P256")
    assert clave.keys.sign("k", MESSAGE).successor is None
    before = datetime.now(UTC)
    handle = clave.rotation.rotate("k", validation_period=DAY)
    assert (handle.version, handle.status) == (2, KeyStatus.PENDING)
    assert handle.validation_ends_at is not None
    assert before + DAY <= handle.validation_ends_at <= datetime.now(UTC) + DAY
    assert clave.keys.get("k") == created

    signed = clave.keys.sign("k", MESSAGE)
    assert signed.successor is not None
    assert (signed.version, signed.successor.version) == (1, 2)
    verify_independently(clave, 1, signed.signature)
    verify_independently(clave, 2, signed.successor.signature)
    assert clave.keys.verify("k", MESSAGE, signed.signature) == 1
    assert clave.keys.verify("k", MESSAGE, signed.successor.signature) == 2

    promoted = clave.rotation.promote("k")
    assert (promoted.version, promoted.status, promoted.validation_ends_at) == (2, KeyStatus.ACTIVE, None)
    after = clave.keys.sign("k", MESSAGE)
    assert (after.version, after.successor) == (2, None)
    assert clave.keys.verify("k", MESSAGE, signed.signature) == 1
    assert statuses(clave) == ["DEPRECATED", "ACTIVE"]
    assert clave.recovery.open_intents() == ()


def test_fr_017_the_policy_says_how_long_24_hours_if_nothing_else_does(reopen: Reopen) -> None:
    clave = reopen(without='validation_period = "0s"\n')
    created = clave.keys.create("k", "ED25519")
    handle = clave.rotation.rotate("k")
    assert handle.validation_ends_at is not None
    assert timedelta(hours=24) <= handle.validation_ends_at - created.created_at < timedelta(hours=24, minutes=5)


def test_every_signature_of_both_is_on_record(rotating: Keyclave) -> None:
    signed = rotating.keys.sign("k", MESSAGE)
    assert signed.successor is not None
    records = [r for r in rotating.audit.records() if r.operation_type is OperationType.SIGN]
    assert [(r.key_version, r.status, r.audit_trail_reference) for r in records] == [
        (1, "SUCCESS", signed.audit_reference),
        (2, "SUCCESS", signed.successor.audit_reference),
    ]
    assert rotating.audit.verify().ok


def test_files_and_digests_are_signed_by_both(rotating: Keyclave) -> None:
    from_file = rotating.keys.sign_stream("k", io.BytesIO(MESSAGE))
    assert from_file.successor is not None
    verify_independently(rotating, 2, from_file.successor.signature)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    prehashed = rotating.keys.sign("k", digest.finalize(), prehashed=True)
    assert prehashed.successor is not None
    verify_independently(rotating, 2, prehashed.successor.signature)


def test_a_private_key_signs_with_its_own_version_only(rotating: Keyclave) -> None:
    signature = rotating.keys.private_key("k").sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    verify_independently(rotating, 1, signature)
    assert [r.key_version for r in rotating.audit.records() if r.operation_type is OperationType.SIGN] == [1]


def test_a_rotation_needs_the_end_of_the_one_before(rotating: Keyclave) -> None:
    with pytest.raises(Conflict, match="version 2 of it is under validation") as refused:
        rotating.rotation.rotate("k")
    assert "promote" in str(refused.value.next_step)
    assert statuses(rotating) == ["ACTIVE", "PENDING"]


def test_fr_017_a_rollback_leaves_the_old_version_as_it_was(rotating: Keyclave, tmp_path: Path) -> None:
    signed = rotating.keys.sign("k", MESSAGE)
    assert signed.successor is not None
    handle = rotating.rotation.rollback("k", "partners cannot verify it")
    assert (handle.version, handle.status) == (1, KeyStatus.ACTIVE)
    assert statuses(rotating) == ["ACTIVE", "REVOKED"]
    assert rotating.keys.versions("k")[1].destroyed_at is not None
    assert key_files(tmp_path) == 1
    assert rotating.keys.sign("k", MESSAGE).successor is None
    assert rotating.keys.verify("k", MESSAGE, signed.signature) == 1
    with pytest.raises(KeyDisabled, match="version 2"):
        rotating.keys.verify("k", MESSAGE, signed.successor.signature)
    assert rotating.recovery.open_intents() == ()
    assert [r.status for r in rotating.audit.records() if r.operation_type is OperationType.ROLLBACK] == ["SUCCESS"]
    assert rotating.rotation.rotate("k").version == 3


@pytest.mark.parametrize("call", ["promote", "rollback"])
def test_without_a_validation_period_there_is_nothing_to_end(clave: Keyclave, call: str) -> None:
    clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k")
    calls: dict[str, Callable[[], object]] = {
        "promote": lambda: clave.rotation.promote("k"),
        "rollback": lambda: clave.rotation.rollback("k", "too late"),
    }
    with pytest.raises(Conflict, match="no version of it is under validation"):
        calls[call]()
    assert statuses(clave) == ["DEPRECATED", "ACTIVE"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1025, "\ud800"])
def test_a_rollback_needs_a_reason(rotating: Keyclave, reason: str) -> None:
    with pytest.raises(InvalidArgument, match="reason"):
        rotating.rotation.rollback("k", reason)
    assert statuses(rotating) == ["ACTIVE", "PENDING"]


def test_a_rollback_that_its_backend_refuses_is_finished_by_recovery(rotating: Keyclave, tmp_path: Path) -> None:
    with (
        failing(rotating, "destroy_key", BackendUnavailable("unplugged"), afterwards=False),
        pytest.raises(Exception, match="signs no more"),
    ):
        rotating.rotation.rollback("k", "test")
    assert statuses(rotating) == ["ACTIVE", "REVOKED"]
    assert rotating.keys.sign("k", MESSAGE).successor is None
    (intent,) = rotating.recovery.run()
    assert (intent.kind, intent.step, intent.parameters["reason"]) == ("rotate", "rollback", "test")
    assert key_files(tmp_path) == 1
    assert rotating.keys.versions("k")[1].destroyed_at is not None


def test_an_interrupted_rollback_ends_where_the_backend_destroys_no_keys(
    rotating: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rotating._backends.get("software")
    has = backend.has
    monkeypatch.setattr(backend, "has", lambda function: function != "destroy_key" and has(function))
    unable = CapabilityUnsupported("it cannot destroy keys")
    with failing(rotating, "destroy_key", unable), failing(rotating, "find_key", BackendUnavailable("unplugged")):
        with failing(rotating, "disable_key", BackendUnavailable("unplugged")), pytest.raises(OutcomeUnknown):
            rotating.rotation.rollback("k", "test")
        assert rotating.recovery.run() == ()
    with failing(rotating, "destroy_key", unable):
        assert len(rotating.recovery.run()) == 1
    assert statuses(rotating) == ["ACTIVE", "REVOKED"]
    assert rotating.keys.versions("k")[1].destroyed_at is None
    assert rotating.rotation.rotate("k").version == 3


def test_recovery_leaves_a_validation_period_alone_until_it_is_over(
    rotating: Keyclave, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rotating.recovery.run() == ()
    other = reopen()
    assert other.recovered == ()
    assert statuses(other) == ["ACTIVE", "PENDING"]

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain one: it is compared
            return datetime.now(tz) + DAY

    monkeypatch.setattr(recovery, "datetime", Tomorrow)
    (intent,) = other.recovery.run()
    assert intent.kind == "rotate"
    assert statuses(rotating) == ["DEPRECATED", "ACTIVE"]
    last = list(other.audit.records())[-1]
    assert (last.operation_type, last.key_version, last.status) == (OperationType.PROMOTE, 2, "SUCCESS")
    assert rotating.keys.sign("k", MESSAGE).version == 2


def test_what_one_process_begins_the_other_signs_and_ends(rotating: Keyclave, reopen: Reopen) -> None:
    other = reopen()
    signed = other.keys.sign("k", MESSAGE)
    assert signed.successor is not None
    rotating.rotation.promote("k")
    assert (other.keys.sign("k", MESSAGE).version, other.keys.sign("k", MESSAGE).successor) == (2, None)


def test_a_revocation_ends_the_validation_period(rotating: Keyclave) -> None:
    rotating.keys.revoke("k", "stolen")
    assert statuses(rotating) == ["REVOKED", "REVOKED"]
    assert rotating.recovery.open_intents() == ()
    with pytest.raises(Conflict):
        rotating.rotation.promote("k")


@pytest.mark.parametrize("period", [DAY, timedelta(0)])
@pytest.mark.parametrize("step", ["create_key", "bind_signer"])
def test_a_revocation_while_the_new_version_is_made_ends_the_rotation(
    clave: Keyclave, reopen: Reopen, tmp_path: Path, step: str, period: timedelta
) -> None:
    other = reopen()
    clave.keys.create("k", "ED25519")

    def revoke_meanwhile(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        other.keys.revoke("k", "stolen")
        return real(*arguments, **options)

    with replaced(clave, step, revoke_meanwhile), pytest.raises(KeyDisabled, match="revoked while it was rotated"):
        clave.rotation.rotate("k", validation_period=period)
    assert set(statuses(clave)) == {"REVOKED"}
    assert clave.recovery.open_intents() == clave.recovery.waiting() == ()
    assert key_files(tmp_path) == 1


def test_a_version_that_fails_its_validation_is_given_up_and_no_signature_is_lost(
    rotating: Keyclave, tmp_path: Path
) -> None:
    def wrong(real: Callable[..., Any], reference: Any, *arguments: Any, **options: Any) -> Callable[[bytes], Signed]:
        sign: Callable[[bytes], Signed] = real(reference, *arguments, **options)
        if reference.label.version == 1:
            return sign

        def refuse(_: bytes) -> Signed:
            raise IntegrityError("the signature is not the key's")

        return refuse

    with replaced(rotating, "bind_signer", wrong):
        signed = rotating.keys.sign("k", MESSAGE)
    assert (signed.version, signed.successor) == (1, None)
    assert statuses(rotating) == ["ACTIVE", "REVOKED"]
    assert key_files(tmp_path) == 1
    assert [
        (r.key_version, r.status) for r in rotating.audit.records() if r.operation_type is OperationType.SIGN
    ] == [
        (1, "SUCCESS"),
        (2, "FAILED"),
    ]


def test_a_version_that_somebody_gave_up_meanwhile_takes_no_other_with_it(rotating: Keyclave, reopen: Reopen) -> None:
    other = reopen()

    def replace_meanwhile(real: Callable[..., Any], reference: Any, *arguments: Any, **options: Any) -> Any:
        sign: Callable[[bytes], Signed] = real(reference, *arguments, **options)
        if reference.label.version == 1:
            return sign

        def sign_too_late(_: bytes) -> Signed:
            other.rotation.rollback("k", "partners cannot verify it")
            other.rotation.rotate("k")
            raise KeyNotFound("it is gone")

        return sign_too_late

    with replaced(rotating, "bind_signer", replace_meanwhile):
        signed = rotating.keys.sign("k", MESSAGE)
    assert (signed.version, signed.successor) == (1, None)
    assert statuses(rotating) == ["ACTIVE", "REVOKED", "PENDING"]


def test_a_backend_that_is_away_fails_the_call_and_not_the_rotation(rotating: Keyclave) -> None:
    def away(real: Callable[..., Any], reference: Any, *arguments: Any, **options: Any) -> Callable[[bytes], Signed]:
        sign: Callable[[bytes], Signed] = real(reference, *arguments, **options)
        if reference.label.version == 1:
            return sign

        def refuse(_: bytes) -> Signed:
            raise BackendUnavailable("unplugged")

        return refuse

    with replaced(rotating, "bind_signer", away), pytest.raises(BackendUnavailable):
        rotating.keys.sign("k", MESSAGE)
    assert statuses(rotating) == ["ACTIVE", "PENDING"]


def test_a_key_that_encrypts_has_no_validation_period(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256", policy=RotationPolicy(validation_period=DAY))
    assert clave.rotation.rotate("k").status is KeyStatus.ACTIVE


def test_a_validation_period_for_a_key_that_encrypts_is_refused(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256")
    with pytest.raises(InvalidArgument, match="a key of algorithm AES_256 has no validation period"):
        clave.rotation.rotate("k", validation_period=DAY)
    assert clave.keys.get("k").version == 1
    assert clave.rotation.rotate("k", validation_period=timedelta(0)).version == 2


CHANGES = [
    ("RSA_2048", "ECDSA_P256"),
    ("ECDSA_P256", "ML_DSA_65"),
    ("ECDSA_P384", "ED25519"),
    ("ED25519", "RSA_2048"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_fr_017_a_rotation_can_change_the_algorithm(clave: Keyclave, old: str, new: str) -> None:
    clave.keys.create("k", old)
    first = clave.keys.sign("k", MESSAGE)
    handle = clave.rotation.rotate("k", algorithm=new, validation_period=DAY)
    assert (handle.algorithm, clave.keys.get("k").algorithm) == (new, old)
    both = clave.keys.sign("k", MESSAGE)
    from_file = clave.keys.sign_stream("k", io.BytesIO(MESSAGE))
    for signed in (both, from_file):
        assert signed.successor is not None
        assert clave.keys.verify("k", MESSAGE, signed.successor.signature) == 2
        assert clave.keys.verify_stream("k", io.BytesIO(MESSAGE), signed.successor.signature) == 2
    clave.rotation.promote("k")
    after = clave.keys.sign("k", MESSAGE)
    assert clave.keys.get("k").algorithm == new
    assert [clave.keys.verify("k", MESSAGE, s.signature) for s in (first, both, after)] == [1, 1, 2]
    with pytest.raises(InvalidSignature):
        clave.keys.verify("k", MESSAGE + b"!", after.signature)
    with pytest.raises(InvalidSignature):
        clave.keys.verify_stream("k", io.BytesIO(MESSAGE + b"!"), first.signature)
    assert clave.rotation.rotate("k").algorithm == new


def test_a_digest_that_the_successor_cannot_sign_is_signed_by_the_active_version(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    clave.rotation.rotate("k", algorithm="ED25519", validation_period=DAY)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    signed = clave.keys.sign("k", digest.finalize(), prehashed=True)
    assert (signed.version, signed.successor) == (1, None)
    verify_independently(clave, 1, signed.signature)


def test_a_successor_whose_backend_hashes_messages_itself_leaves_digests_to_the_active_version(
    rotating: Keyclave,
) -> None:
    def hashes_itself(real: Callable[..., Any], reference: Any, *arguments: Any, prehashed: bool) -> Any:
        if reference.label.version != 1 and prehashed:
            raise CapabilityUnsupported("the backend hashes the message itself")
        return real(reference, *arguments, prehashed=prehashed)

    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    with replaced(rotating, "bind_signer", hashes_itself):
        signed = rotating.keys.sign("k", digest.finalize(), prehashed=True)
        from_file = rotating.keys.sign_stream("k", io.BytesIO(MESSAGE))
    assert (signed.version, signed.successor) == (1, None)
    assert from_file.successor is not None
    verify_independently(rotating, 2, from_file.successor.signature)


def test_a_key_that_signs_does_not_become_one_that_encrypts(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    for algorithm in ("AES_256", "RSA_1024"):
        with pytest.raises(InvalidArgument):
            clave.rotation.rotate("k", algorithm=algorithm)
    assert statuses(clave) == ["ACTIVE"]


@pytest.mark.parametrize("period", [-DAY, 366 * DAY, timedelta.max, 3600, "1d"])
def test_a_validation_period_that_is_none_makes_no_version(clave: Keyclave, period: Any) -> None:
    clave.keys.create("k", "ED25519")
    with pytest.raises(InvalidArgument, match="FR-017"):
        clave.rotation.rotate("k", validation_period=period)
    assert statuses(clave) == ["ACTIVE"]
