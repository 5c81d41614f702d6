"""Two that change one key at the same moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from keyclave.errors import BackendUnavailable, IntegrityError, KeyDisabled
from keyclave.plugin import CreatedKey, CreateKeyRequest, KeyLabel
from keyclave_software import keystore
from keyclave_software.backend import SoftwareBackend
from keyclave_software.sealed import SealedKey

from plugins.software.tests.conftest import KeyFile, NewKey, NewLabel

Change = Callable[[SoftwareBackend, CreatedKey, KeyLabel], object]
CHANGES: dict[str, Change] = {
    "create": lambda backend, _, label: backend.create_key(
        request=CreateKeyRequest(label=label, algorithm="ED25519", exportable=False)
    ),
    "enable": lambda backend, created, _: backend.enable_key(key=created.reference),
    "disable": lambda backend, created, _: backend.disable_key(key=created.reference),
    "destroy": lambda backend, created, _: backend.destroy_key(key=created.reference),
}


@pytest.fixture
def lock(data_directory: Path, backend: SoftwareBackend, monkeypatch: pytest.MonkeyPatch) -> FileLock:
    """The lock of the keystore, as another process would hold it. Logging of it would only fill the report."""
    assert backend
    logging.getLogger("filelock").setLevel(logging.WARNING)
    monkeypatch.setattr(keystore, "_LOCK_SECONDS", 0.05)
    return FileLock(data_directory / "keystore.lock", mode=0o600)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_waits_for_another_one_and_changes_nothing_if_that_takes_too_long(
    backend: SoftwareBackend,
    new_key: NewKey,
    new_label: NewLabel,
    lock: FileLock,
    change: Change,
) -> None:
    created, label = new_key(), new_label()
    with lock, pytest.raises(BackendUnavailable, match="locked by another process"):
        change(backend, created, label)
    assert backend.list_keys(page=None).keys == (created.reference,)
    backend.sign(key=created.reference, data=b"message", scheme="ED25519")
    change(backend, created, label)


def test_a_key_that_is_disabled_while_it_is_loaded_is_not_kept_enabled(
    backend: SoftwareBackend, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key().reference
    backend.close()
    read = backend._keystore.read

    def read_and_lose(name: str) -> SealedKey:
        found = read(name)
        monkeypatch.setattr(backend._keystore, "read", read)
        backend.disable_key(key=key)
        return found

    monkeypatch.setattr(backend._keystore, "read", read_and_lose)
    backend.sign(key=key, data=b"message", scheme="ED25519")
    with pytest.raises(KeyDisabled):
        backend.sign(key=key, data=b"message", scheme="ED25519")


def test_what_would_not_open_again_does_not_replace_a_key(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = new_key()
    before = key_file(created).read_bytes()
    monkeypatch.setattr(keystore, "seal", lambda *_: bytes(len(before)))
    with pytest.raises(IntegrityError):
        backend.disable_key(key=created.reference)
    assert key_file(created).read_bytes() == before
    backend.sign(key=created.reference, data=b"message", scheme="ED25519")
