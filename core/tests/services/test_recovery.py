"""What an ended process left open is finished or undone when the state is opened again, or stays open and says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from keyclave import Keyclave
from keyclave.errors import BackendUnavailable, CapabilityUnsupported, KeyDisabled, KeyNotFound, OutcomeUnknown
from keyclave.models import KeyStatus, OperationType
from keyclave.services import resolution

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing

MESSAGE = b"signed before"
BLOCKED = '\n[plugins]\nblock = ["software"]\n'
DOWN = BackendUnavailable("the device was unplugged")


def key_file(tmp_path: Path) -> Path:
    (found,) = (p for p in (tmp_path / "state" / "backends" / "software").glob("*.key") if len(p.stem) == 32)
    return found


def open_kinds(clave: Keyclave) -> list[str]:
    return [intent.kind for intent in clave.recovery.open_intents()]


def test_a_dead_process_cannot_make_its_key_any_more(clave: Keyclave, reopen: Reopen) -> None:
    """In software nothing happens after its process ended, so there is nothing to wait for."""
    with failing(clave, "create_key", OutcomeUnknown("no answer")), pytest.raises(OutcomeUnknown):
        clave.keys.create("k", "ED25519")
    assert clave.recovery.run() == ()
    clave.close()
    again = reopen()
    assert [intent.kind for intent in again.recovered] == ["create"]
    assert open_kinds(again) == []


def test_a_device_may_make_the_key_after_the_process_that_asked_ended(
    acme: str, reopen: Reopen, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = acme + 'location = "remote"\n'
    first = reopen(remote)
    with (
        failing(first, "create_key", OutcomeUnknown("no answer"), backend="acme"),
        pytest.raises(OutcomeUnknown),
    ):
        first.keys.create("k", "ED25519", backend="acme")
    first.close()
    second = reopen(remote)
    assert (second.recovered, open_kinds(second)) == ((), ["create"])
    assert "its backend may still carry it out" in caplog.text
    second.close()
    monkeypatch.setattr(resolution, "_SETTLED_AFTER", -resolution._SETTLED_AFTER)
    third = reopen(remote)
    assert ([intent.kind for intent in third.recovered], open_kinds(third)) == (["create"], [])


def test_a_backend_that_cannot_be_reached_leaves_the_change_open(
    clave: Keyclave, reopen: Reopen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clave.keys.create("k", "ED25519")
    signature = clave.keys.sign("k", MESSAGE).signature
    before = key_file(tmp_path)
    with failing(clave, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
        clave.rotation.rotate("k")
    clave.close()
    blocked = reopen(BLOCKED)
    assert (blocked.recovered, open_kinds(blocked)) == ((), ["rotate"])
    assert "stays open" in caplog.text
    assert blocked.keys.verify("k", MESSAGE, signature) == 1
    blocked.close()
    again = reopen()
    assert [intent.kind for intent in again.recovered] == ["rotate"]
    assert key_file(tmp_path) == before
    assert again.rotation.rotate("k").version == 2


def test_a_backend_that_is_no_longer_configured_leaves_the_change_open(
    acme: str, reopen: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    first = reopen(acme)
    with (
        failing(first, "create_key", OutcomeUnknown("no answer"), backend="acme"),
        pytest.raises(OutcomeUnknown),
    ):
        first.keys.create("k", "ED25519", backend="acme")
    first.close()
    second = reopen()
    assert (second.recovered, open_kinds(second)) == ((), ["create"])
    assert "no such backend is configured" in caplog.text
    assert second.keys.create("k", "ED25519").backend_id == "software"


def test_a_revocation_holds_at_once_and_is_finished_later(clave: Keyclave, reopen: Reopen, tmp_path: Path) -> None:
    clave.keys.create("k", "ED25519")
    signature, enabled = clave.keys.sign("k", MESSAGE).signature, key_file(tmp_path).read_bytes()
    clave.close()
    blocked = reopen(BLOCKED)
    with pytest.raises(OutcomeUnknown, match="the key is revoked, but") as caught:
        blocked.keys.revoke("k", "stolen")
    assert (caught.value.key_name, caught.value.backend_id) == ("k", "software")
    assert "keyclave recover" in caught.value.next_step
    assert blocked.keys.get("k").status is KeyStatus.REVOKED
    with pytest.raises(KeyDisabled):
        blocked.keys.verify("k", MESSAGE, signature)
    assert open_kinds(blocked) == ["revoke"]
    assert key_file(tmp_path).read_bytes() == enabled
    blocked.close()
    again = reopen()
    assert [intent.kind for intent in again.recovered] == ["revoke"]
    assert key_file(tmp_path).read_bytes() != enabled


def test_a_destruction_is_finished_later(clave: Keyclave, reopen: Reopen, tmp_path: Path) -> None:
    """A directory stands where the key file was: it cannot be removed as a file, now or at the next start."""
    clave.keys.create("k", "ED25519")
    clave.keys.revoke("k", "no longer needed")
    file = key_file(tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(OutcomeUnknown, match="version 1 will be destroyed, but"):
        clave.keys.destroy("k", 1)
    assert clave.keys.get("k").destroyed_at is None
    clave.close()
    second = reopen()
    assert (second.recovered, open_kinds(second)) == ((), ["destroy"])
    second.close()
    file.rmdir()
    third = reopen()
    assert [intent.kind for intent in third.recovered] == ["destroy"]
    assert third.keys.get("k").destroyed_at is not None


def test_a_destruction_that_was_not_begun_is_forgotten(clave: Keyclave, reopen: Reopen) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.revoke("k", "no longer needed")
    clave.close()
    blocked = reopen(BLOCKED)
    with pytest.raises(BackendUnavailable):
        blocked.keys.destroy("k", 1)
    assert open_kinds(blocked) == []
    assert blocked.keys.get("k").destroyed_at is None


def test_a_key_that_vanished_from_its_backend_is_revoked_and_destroyed(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "ED25519")
    key_file(tmp_path).unlink()
    assert [handle.status for handle in clave.keys.revoke("k", "the disk was lost")] == [KeyStatus.REVOKED]
    assert clave.keys.destroy("k", 1).destroyed_at is not None
    assert open_kinds(clave) == []


def test_a_backend_that_says_there_is_no_such_key_has_destroyed_it(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.revoke("k", "no longer needed")
    with failing(clave, "destroy_key", KeyNotFound("gone")):
        assert clave.keys.destroy("k", 1).destroyed_at is not None


def test_what_is_destroyed_is_not_looked_for_when_the_rest_is_revoked(acme: str, reopen: Reopen) -> None:
    """Its backend may be gone too."""
    first = reopen(acme)
    first.keys.create("k", "ED25519", backend="acme")
    first.keys.revoke("k", "stolen")
    first.keys.destroy("k", 1)
    first.close()
    assert [handle.status for handle in reopen().keys.revoke("k", "once more")] == [KeyStatus.REVOKED]


def test_a_backend_that_does_not_destroy_is_not_asked_to(clave: Keyclave, monkeypatch: pytest.MonkeyPatch) -> None:
    """All backends here destroy; this one is made to say that it does not."""
    clave.keys.create("k", "ED25519")
    clave.keys.revoke("k", "no longer needed")
    monkeypatch.setattr(clave._backends.get("software"), "has", lambda hook: hook != "destroy_key")
    with pytest.raises(CapabilityUnsupported, match="cannot destroy keys"):
        clave.keys.destroy("k", 1)
    assert open_kinds(clave) == []


def test_an_open_instance_takes_over_each_minute_what_another_process_left(
    clave: Keyclave, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clave.recovery._worker, "_seconds", 0.01)
    clave.recovery.start()
    clave.recovery.start()
    other = reopen()
    other.keys.create("k", "ED25519")
    other.rotation.rotate("k")
    with failing(other, "disable_key", DOWN), pytest.raises(OutcomeUnknown):
        other.keys.revoke("k", "test")
    assert open_kinds(clave) == ["revoke"]
    other.close()
    deadline = time.monotonic() + 30
    while open_kinds(clave) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert open_kinds(clave) == []
    clave.recovery.stop()
    assert [r.status.value for r in clave.audit.records(operation_type=OperationType.RECOVER)] == ["SUCCESS"]
