"""Keys and versions are stored and found as they were given, and every change raises the epoch."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from keyclave.errors import Conflict, InvalidArgument, KeyAlreadyExists, KeyNotFound
from keyclave.models import KeyStatus, RotationPolicy, SecurityLevel
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Store

NewKey = Callable[..., StoredKey]
NewVersion = Callable[..., StoredVersion]
LATER = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_key_is_found_as_it_was_added(store: Store, new_key: NewKey) -> None:
    plain = new_key("a")
    full = new_key(
        "b",
        algorithm="AES_256",
        required_security_level=SecurityLevel.HSM,
        rotation_policy=RotationPolicy(rotation_interval=timedelta(days=7), validation_period=timedelta(hours=1)),
        minimum_rotation_interval=timedelta(hours=5, microseconds=1),
    )
    with store.write() as state:
        state.keys.add(plain)
        state.keys.add(full)
        assert state.keys.by_name("b") == full
    with store.read() as state:
        assert state.keys.by_name("a") == plain
        assert state.keys.by_id(full.key_id) == full


def test_a_version_is_found_as_it_was_added(store: Store, new_key: NewKey, new_version: NewVersion) -> None:
    key = new_key()
    old = new_version(key, last_rotation_at=LATER, not_destroy_before=LATER, next_rotation_at=LATER + timedelta(1))
    new = new_version(key, 2, status=KeyStatus.PENDING, public_key=None, hsm_backed=True)
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(old)
        state.keys.add_version(new)
    with store.read() as state:
        assert state.keys.versions(key.key_id) == (old, new)
        assert state.keys.version(key.key_id, 2) == new


def test_a_time_of_another_zone_is_stored_as_utc(store: Store, new_key: NewKey) -> None:
    moment = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with store.write() as state:
        state.keys.add(new_key(created_at=moment))
        stored = state.keys.by_name("k").created_at
    assert stored == moment
    assert stored.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(store: Store, new_key: NewKey) -> None:
    with pytest.raises(InvalidArgument, match="time zone"), store.write() as state:
        state.keys.add(new_key(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001  that is the point


def test_a_text_that_is_not_unicode_is_refused(store: Store, new_key: NewKey) -> None:
    with pytest.raises(InvalidArgument, match="Unicode"), store.write() as state:
        state.keys.add(new_key(owner_principal="\udcff"))


def test_a_name_is_taken_once(store: Store, new_key: NewKey) -> None:
    with store.write() as state:
        state.keys.add(new_key())
    with pytest.raises(KeyAlreadyExists) as caught, store.write() as state:
        state.keys.add(new_key())
    assert caught.value.key_name == "k"


def test_what_is_not_there_is_not_found(store: Store, new_key: NewKey) -> None:
    key = new_key()
    with store.write() as state:
        state.keys.add(key)
        assert state.keys.versions(uuid.uuid4()) == ()
        for missing in (
            lambda: state.keys.by_name("other"),
            lambda: state.keys.by_id(uuid.uuid4()),
            lambda: state.keys.version(key.key_id, 1),
            lambda: state.keys.update_version(key.key_id, 1, status=KeyStatus.REVOKED),
        ):
            with pytest.raises(KeyNotFound):
                missing()


def test_every_change_of_a_key_raises_the_epoch(store: Store, new_key: NewKey, new_version: NewVersion) -> None:
    key, epochs = new_key(), []
    with store.write() as state:
        epochs.append(state.epoch)
        state.keys.add(key)
        epochs.append(state.epoch)
        state.keys.add_version(new_version(key))
        epochs.append(state.epoch)
        state.keys.update_version(key.key_id, 1, next_rotation_at=LATER)
        epochs.append(state.epoch)
    with store.read() as state:
        assert epochs == [0, 1, 2, 3]
        assert state.epoch == 3


def test_a_rotation_swaps_two_versions(store: Store, new_key: NewKey, new_version: NewVersion) -> None:
    key = new_key()
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))
        state.keys.add_version(new_version(key, 2, status=KeyStatus.PENDING))
    with store.write() as state:
        state.keys.update_version(key.key_id, 1, status=KeyStatus.DEPRECATED, last_rotation_at=LATER)
        changed = state.keys.update_version(key.key_id, 2, status=KeyStatus.ACTIVE, last_rotation_at=LATER)
    with store.read() as state:
        first, second = state.keys.versions(key.key_id)
    assert (first.status, second.status) == (KeyStatus.DEPRECATED, KeyStatus.ACTIVE)
    assert second == changed


def test_a_version_moves_to_another_backend(store: Store, new_key: NewKey, new_version: NewVersion) -> None:
    key = new_key()
    place = {"backend_id": "hsm", "backend_type": "pkcs11-hsm", "label": "l", "provider_uri": "pkcs11:id=1"}
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))
        moved = state.keys.update_version(key.key_id, 1, **place, hsm_backed=True)
    assert {name: getattr(moved, name) for name in place} == place
    assert moved.hsm_backed


@pytest.mark.parametrize("field", ["created_at", "public_key", "epoch", "mac", "name"])
def test_what_never_changes_is_refused_before_the_database_is_asked(
    store: Store, new_key: NewKey, new_version: NewVersion, field: str
) -> None:
    key = new_key()
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))
        with pytest.raises(InvalidArgument, match=field):
            state.keys.update_version(key.key_id, 1, **{field: 1})


def test_a_refusal_of_the_database_is_a_conflict_and_changes_nothing(
    store: Store, new_key: NewKey, new_version: NewVersion
) -> None:
    key = new_key()
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))

    def change() -> None:
        with store.write() as state:
            state.keys.update_version(key.key_id, 1, next_rotation_at=LATER)
            state.keys.add_version(new_version(key, 2))

    with pytest.raises(Conflict, match="one ACTIVE version") as caught:
        change()
    assert not caught.value.retryable
    with store.read() as state:
        assert state.keys.versions(key.key_id) == (new_version(key),)
        assert state.epoch == 2


def test_a_text_that_is_no_unicode_is_refused(store: Store, new_key: NewKey) -> None:
    with pytest.raises(InvalidArgument, match="table keys is not valid Unicode"), store.write() as state:
        state.keys.add(new_key(owner_principal="\ud800"))
    with store.read() as state:
        assert state.keys.page(None, 1) == ()


def test_pages_hold_all_keys_in_the_order_of_their_names(store: Store, new_key: NewKey) -> None:
    names = ["b", "a-", "a.", "a_", "a0", "aa", "a", "0", "b1"]
    with store.write() as state:
        for name in names:
            state.keys.add(new_key(name))
    found: list[str] = []
    with store.read() as state:
        while page := state.keys.page(found[-1] if found else None, 2):
            assert len(page) <= 2
            found += [key.name for key in page]
    assert found == sorted(names)


USES = {
    KeyStatus.PENDING: {"VERIFY", "DECRYPT"},
    KeyStatus.ACTIVE: {"SIGN", "ENCRYPT", "VERIFY", "DECRYPT"},
    KeyStatus.STANDBY: {"SIGN", "VERIFY", "DECRYPT"},
    KeyStatus.DEPRECATED: {"VERIFY", "DECRYPT"},
    KeyStatus.REVOKED: set(),
}


@pytest.mark.parametrize("status", KeyStatus)
def test_a_status_allows_its_uses(store: Store, new_key: NewKey, new_version: NewVersion, status: KeyStatus) -> None:
    key = new_key()
    first = status if status in {KeyStatus.PENDING, KeyStatus.STANDBY} else KeyStatus.ACTIVE
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key, status=first))
        if status is not first:
            state.keys.update_version(key.key_id, 1, status=status, last_rotation_at=LATER)
        allowed = {
            use
            for use in ("SIGN", "ENCRYPT", "VERIFY", "DECRYPT", "ROTATE", "")
            if state.keys.usable(key.key_id, 1, use)
        }
        assert allowed == USES[status]
        assert not state.keys.usable(key.key_id, 2, "VERIFY")


def test_a_destroyed_version_verifies_and_does_not_decrypt(
    store: Store, new_key: NewKey, new_version: NewVersion
) -> None:
    key = new_key()
    with store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))
        state.keys.update_version(
            key.key_id, 1, status=KeyStatus.DEPRECATED, last_rotation_at=LATER, destroyed_at=LATER
        )
        assert state.keys.usable(key.key_id, 1, "VERIFY")
        assert not state.keys.usable(key.key_id, 1, "DECRYPT")
