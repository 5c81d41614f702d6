"""A change that fails leaves the key as it was, or stays open and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    IntegrityError,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import KeyStatus
from keyclave.plugin import Encrypted, Signed
from keyclave.services import resolution

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced

MESSAGE = b"signed before"
DOWN = BackendUnavailable("the device was unplugged")


def key_files(tmp_path: Path) -> set[str]:
    found = (tmp_path / "state" / "backends" / "software").glob("*.key")
    return {path.name for path in found if len(path.stem) == 32}


def recoveries(clave: Keyclave) -> list[str]:
    return [record.status for record in clave.audit.records() if record.operation_type == "RECOVER"]


def wrong_signature(real: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[bytes], Signed]:
    sign = real(*arguments, **options)
    return lambda data: sign(data + b"something else")


STEPS = {
    "refused": ("create_key", DOWN, False, BackendUnavailable, 1),
    "made, then failed": ("create_key", DOWN, True, BackendUnavailable, 1),
    "not able to sign": ("bind_signer", CapabilityUnsupported("no such scheme"), False, IntegrityError, 2),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_rotation_that_fails_is_undone_at_once(clave: Keyclave, tmp_path: Path, step: str) -> None:
    method, error, afterwards, raised, versions = STEPS[step]
    clave.keys.create("k", "ED25519")
    signature, before = clave.keys.sign("k", MESSAGE).signature, key_files(tmp_path)
    with failing(clave, method, error, afterwards=afterwards), pytest.raises(raised):
        clave.rotation.rotate("k")
    assert key_files(tmp_path) == before
    assert clave.recovery.open_intents() == ()
    assert recoveries(clave) == ["SUCCESS"]
    first, *others = clave.keys.versions("k")
    assert first.status is KeyStatus.ACTIVE
    assert [(v.status, v.destroyed_at is None) for v in others] == [(KeyStatus.REVOKED, False)] * (versions - 1)
    assert clave.keys.verify("k", MESSAGE, signature) == 1
    assert clave.rotation.rotate("k").version == versions + 1
    assert clave.keys.verify("k", MESSAGE, signature) == 1


def test_a_new_version_whose_signature_is_wrong_never_becomes_active(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "ED25519")
    before = key_files(tmp_path)
    with (
        replaced(clave, "bind_signer", wrong_signature),
        pytest.raises(IntegrityError, match="failed its validation"),
    ):
        clave.rotation.rotate("k")
    assert (key_files(tmp_path), clave.keys.get("k").version) == (before, 1)


def test_a_new_version_that_cannot_decrypt_never_becomes_active(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "AES_256")
    before, ciphertext = key_files(tmp_path), clave.keys.encrypt("k", MESSAGE)

    def something_else(real: Callable[..., Any], reference: Any, plaintext: bytes, aad: bytes) -> Encrypted:
        made: Encrypted = real(reference, plaintext + b"!", aad)
        return made

    with replaced(clave, "encrypt", something_else), pytest.raises(IntegrityError, match="does not decrypt"):
        clave.rotation.rotate("k")
    assert key_files(tmp_path) == before
    assert clave.keys.decrypt("k", ciphertext) == MESSAGE


def test_a_key_revoked_during_its_rotation_stays_revoked(clave: Keyclave, reopen: Reopen, tmp_path: Path) -> None:
    clave.keys.create("k", "ED25519")
    before, other = key_files(tmp_path), reopen()

    def revoke_meanwhile(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        other.keys.revoke("k", "stolen meanwhile")
        return real(*arguments, **options)

    with replaced(clave, "bind_signer", revoke_meanwhile), pytest.raises(KeyclaveError):
        clave.rotation.rotate("k")
    first, second = clave.keys.versions("k")
    assert (first.status, second.status) == (KeyStatus.REVOKED, KeyStatus.REVOKED)
    assert (first.destroyed_at, key_files(tmp_path)) == (None, before)
    assert second.destroyed_at is not None
    assert clave.recovery.open_intents() == ()


def test_a_failed_creation_leaves_neither_key_nor_name(clave: Keyclave, tmp_path: Path) -> None:
    with failing(clave, "create_key", DOWN, afterwards=True), pytest.raises(BackendUnavailable):
        clave.keys.create("k", "ED25519")
    assert (clave.keys.list(), key_files(tmp_path), clave.recovery.open_intents()) == ((), set(), ())
    assert clave.keys.create("k", "ED25519").version == 1


def test_of_two_creations_of_one_name_one_is_undone(clave: Keyclave, reopen: Reopen, tmp_path: Path) -> None:
    other = reopen()

    def create_meanwhile(real: Callable[..., Any], request: Any) -> Any:
        other.keys.create("k", "ED25519")
        return real(request)

    with replaced(clave, "create_key", create_meanwhile), pytest.raises(KeyAlreadyExists):
        clave.keys.create("k", "ED25519")
    assert len(key_files(tmp_path)) == len(clave.keys.list()) == 1
    assert clave.recovery.open_intents() == ()
    assert clave.keys.verify("k", MESSAGE, clave.keys.sign("k", MESSAGE).signature) == 1


def test_what_cannot_be_undone_stays_open_and_says_so(
    clave: Keyclave, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clave.keys.create("k", "ED25519")
    before = key_files(tmp_path)
    with failing(clave, "destroy_key", DOWN), failing(clave, "create_key", DOWN, afterwards=True):
        with pytest.raises(BackendUnavailable):
            clave.rotation.rotate("k")
        (intent,) = clave.recovery.open_intents()
        change = f"rotate of key 'k' ({intent.key_id}) in backend 'software'"
        assert f"{change} stays open (operation {intent.operation_id}): " in caplog.text
        assert "the device was unplugged" in caplog.text
        assert recoveries(clave) == ["FAILED"]
        with pytest.raises(Conflict, match=r"another change of this key is under way \(rotate\)"):
            clave.rotation.rotate("k")
        assert clave.recovery.run() == ()
    assert clave.keys.sign("k", MESSAGE).version == 1
    assert len(key_files(tmp_path)) == len(before) + 1
    assert clave.recovery.run() == (intent,)
    assert (key_files(tmp_path), clave.recovery.open_intents()) == (before, ())
    assert clave.rotation.rotate("k").version == 2


def test_an_unknown_outcome_is_looked_for_until_it_can_be_told(
    clave: Keyclave, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend does not answer, and makes the key afterwards, or never."""
    late: list[Callable[[], Any]] = []

    def answer_late(real: Callable[..., Any], request: Any) -> Any:
        late.append(lambda: real(request))
        raise OutcomeUnknown("no answer")

    with replaced(clave, "create_key", answer_late):
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                clave.keys.create("k", "ED25519")
    made, never_made = clave.recovery.open_intents()
    assert clave.recovery.run() == ()
    why = f"stays open (operation {made.operation_id}): its backend may still carry it out"
    assert f"create of key 'k' ({made.key_id}) in backend 'software' {why}" in caplog.text
    late[0]()
    assert len(key_files(tmp_path)) == 1
    assert clave.recovery.run() == (made,)
    assert (key_files(tmp_path), clave.recovery.open_intents()) == (set(), (never_made,))
    monkeypatch.setattr(resolution, "_SETTLED_AFTER", -resolution._SETTLED_AFTER)
    assert clave.recovery.run() == (never_made,)
    assert clave.recovery.open_intents() == ()


def test_a_change_that_is_finished_meanwhile_is_not_undone(clave: Keyclave, tmp_path: Path) -> None:
    """Recovery reads the open changes; before it acts, one of them ends, and what it made is used and deprecated."""
    seen: list[Any] = []

    def look(real: Callable[..., Any], request: Any) -> Any:
        seen.extend(clave.recovery.open_intents())
        return real(request)

    with replaced(clave, "create_key", look):
        clave.keys.create("k", "AES_256")
    ciphertext = clave.keys.encrypt("k", MESSAGE)
    clave.rotation.rotate("k")
    before = key_files(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clave.recovery, "open_intents", lambda: tuple(seen))
        assert len(seen) == 1
        assert clave.recovery.run() == ()
    assert key_files(tmp_path) == before
    assert clave.keys.decrypt("k", ciphertext) == MESSAGE


def test_two_recoveries_at_once_record_one(clave: Keyclave, reopen: Reopen, caplog: pytest.LogCaptureFixture) -> None:
    with failing(clave, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
        clave.keys.create("k", "ED25519")
    (intent,) = clave.recovery.open_intents()

    def recover_meanwhile(real: Callable[..., Any], reference: Any) -> Any:
        clave._owner.close()
        assert reopen().recovered == (intent,)
        return real(reference)

    with replaced(clave, "destroy_key", recover_meanwhile):
        assert clave.recovery.run() == ()
    assert recoveries(clave) == ["SUCCESS"]
    assert "stays open" not in caplog.text


def test_a_broken_off_call_leaves_no_trace_of_the_key(clave: Keyclave) -> None:
    """Ctrl-C while the backend works: nothing is undone then, and the next recovery does it."""

    def interrupt(real: Callable[..., Any], request: Any) -> Any:
        real(request)
        raise KeyboardInterrupt

    with replaced(clave, "create_key", interrupt), pytest.raises(KeyboardInterrupt):
        clave.keys.create("k", "ED25519")
    assert len(clave.recovery.open_intents()) == len(clave.recovery.run()) == 1
    with pytest.raises(KeyNotFound):
        clave.keys.get("k")
