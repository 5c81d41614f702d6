"""Keys made, found, listed, disabled and destroyed."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from keyclave.errors import (
    CapabilityUnsupported,
    ConfigurationError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyDisabled,
    KeyNotFound,
)
from keyclave.plugin import CreateKeyRequest, DestroyState, KeyReference
from keyclave_software import backend as backend_module
from keyclave_software.backend import SoftwareBackend
from msgspec.structs import replace

from plugins.software.tests.conftest import KeyFile, NewKey, NewLabel, Open

MESSAGE = b"message"


def listed(backend: SoftwareBackend) -> list[KeyReference]:
    keys: list[KeyReference] = []
    page = backend.list_keys(page=None)
    keys.extend(page.keys)
    while page.next_page is not None:
        page = backend.list_keys(page=page.next_page)
        keys.extend(page.keys)
    return keys


@pytest.mark.parametrize("exportable", [True, False])
def test_a_created_key_says_what_it_is(new_key: NewKey, *, exportable: bool) -> None:
    created = new_key("ECDSA_P256", exportable=exportable)
    assert created.exportable is exportable
    assert created.hsm_backed is False
    assert created.public_key is not None
    load_der_public_key(created.public_key)
    assert created.reference.algorithm == "ECDSA_P256"


def test_a_secret_key_has_no_public_key(backend: SoftwareBackend, new_key: NewKey) -> None:
    created = new_key("AES_256")
    assert created.public_key is None
    with pytest.raises(CapabilityUnsupported, match="no public key"):
        backend.public_key(key=created.reference)


def test_creating_a_label_again_returns_the_key_that_is_there(
    backend: SoftwareBackend, open_backend: Open, new_label: NewLabel
) -> None:
    request = CreateKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    first = backend.create_key(request=request)
    assert backend.create_key(request=request) == first
    assert open_backend().create_key(request=request) == first
    assert listed(backend) == [first.reference]


def test_a_label_that_is_taken_by_another_kind_of_key_is_refused(backend: SoftwareBackend, new_key: NewKey) -> None:
    label = new_key("ED25519", exportable=False).reference.label
    with pytest.raises(InvalidArgument, match="of algorithm ED25519, not AES_256"):
        backend.create_key(request=CreateKeyRequest(label=label, algorithm="AES_256", exportable=False))
    with pytest.raises(KeyAlreadyExists, match="exportable"):
        backend.create_key(request=CreateKeyRequest(label=label, algorithm="ED25519", exportable=True))


def test_creating_one_label_in_many_places_at_once_makes_one_key(open_backend: Open, new_label: NewLabel) -> None:
    request = CreateKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    backends = [open_backend() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda backend: backend.create_key(request=request), backends))
    assert len({created.public_key for created in made}) == 1


def test_an_unknown_algorithm_is_refused(backend: SoftwareBackend, new_label: NewLabel) -> None:
    with pytest.raises(InvalidArgument, match="unknown algorithm"):
        backend.create_key(request=CreateKeyRequest(label=new_label(), algorithm="ROT_13", exportable=False))
    assert listed(backend) == []


def test_a_key_is_found_by_its_label_in_another_process(open_backend: Open, new_key: NewKey) -> None:
    created = new_key()
    other = open_backend()
    assert other.find_key(label=created.reference.label) == created.reference
    assert other.public_key(key=created.reference).spki == created.public_key


def test_a_label_without_a_key_is_not_found(backend: SoftwareBackend, new_label: NewLabel) -> None:
    with pytest.raises(KeyNotFound):
        backend.find_key(label=new_label())


def test_all_pages_together_hold_every_key_of_this_instance_once(
    backend: SoftwareBackend, new_key: NewKey, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "_PAGE", 3)
    mine = [new_key().reference for _ in range(9)]
    other = replace(new_label(), instance_id=uuid4())
    backend.create_key(request=CreateKeyRequest(label=other, algorithm="ED25519", exportable=False))
    found = listed(backend)
    assert sorted(map(str, found)) == sorted(map(str, mine))
    assert found == listed(backend)


@pytest.mark.parametrize("page", ["", "next", "../../../etc/passwd", "G" * 32, "0" * 31])
def test_a_page_from_elsewhere_is_refused(backend: SoftwareBackend, page: str) -> None:
    with pytest.raises(InvalidArgument, match="page"):
        backend.list_keys(page=page)


def test_a_disabled_key_gives_its_public_key_and_nothing_else(
    backend: SoftwareBackend, open_backend: Open, new_key: NewKey, wrapping_spki: bytes
) -> None:
    signing, secret = new_key(exportable=True), new_key("AES_256", exportable=True)
    ciphertext = backend.encrypt(key=secret.reference, plaintext=b"data key", aad=b"").ciphertext
    for created in (signing, secret):
        backend.disable_key(key=created.reference)
        backend.disable_key(key=created.reference)
    for opened in (backend, open_backend()):
        with pytest.raises(KeyDisabled):
            opened.sign(key=signing.reference, data=MESSAGE, scheme="ED25519")
        with pytest.raises(KeyDisabled):
            opened.encrypt(key=secret.reference, plaintext=b"data key", aad=b"")
        with pytest.raises(KeyDisabled):
            opened.decrypt(key=secret.reference, ciphertext=ciphertext, aad=b"")
        with pytest.raises(KeyDisabled):
            opened.wrap_key(
                key=signing.reference, wrapping_public_key=wrapping_spki, method="RSA_AES_KEY_WRAP_SHA256"
            )
        assert opened.public_key(key=signing.reference).spki == signing.public_key


def test_an_enabled_key_works_again_and_is_the_same(backend: SoftwareBackend, new_key: NewKey) -> None:
    created = new_key()
    before = backend.sign(key=created.reference, data=MESSAGE, scheme="ED25519")
    backend.disable_key(key=created.reference)
    backend.enable_key(key=created.reference)
    backend.enable_key(key=created.reference)
    assert backend.sign(key=created.reference, data=MESSAGE, scheme="ED25519") == before


def test_a_destroyed_key_is_gone_for_good(
    backend: SoftwareBackend, open_backend: Open, new_key: NewKey, key_file: KeyFile
) -> None:
    created = new_key()
    key = created.reference
    backend.sign(key=key, data=MESSAGE, scheme="ED25519")
    assert backend.destroy_key(key=key).state is DestroyState.DESTROYED
    assert backend.destroy_key(key=key).state is DestroyState.DESTROYED
    assert not key_file(created).exists()
    assert listed(backend) == []
    for opened in (backend, open_backend()):
        with pytest.raises(KeyNotFound):
            opened.find_key(label=key.label)
        with pytest.raises(KeyNotFound):
            opened.sign(key=key, data=MESSAGE, scheme="ED25519")
        with pytest.raises(KeyNotFound):
            opened.public_key(key=key)
        with pytest.raises(KeyNotFound):
            opened.enable_key(key=key)


def test_destroying_removes_what_an_interrupted_write_left(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile
) -> None:
    created = new_key()
    leftover = key_file(created).with_name(f".{key_file(created).name}.0123456789abcdef.tmp")
    leftover.write_bytes(key_file(created).read_bytes())
    assert listed(backend) == [created.reference]
    backend.destroy_key(key=created.reference)
    assert not leftover.exists()


def test_a_change_by_another_process_is_noticed_within_a_second(
    backend: SoftwareBackend, open_backend: Open, new_key: NewKey
) -> None:
    disabled, destroyed = new_key().reference, new_key().reference
    for key in (disabled, destroyed):
        backend.sign(key=key, data=MESSAGE, scheme="ED25519")
    other = open_backend()
    other.disable_key(key=disabled)
    other.destroy_key(key=destroyed)
    time.sleep(1)
    with pytest.raises(KeyDisabled):
        backend.sign(key=disabled, data=MESSAGE, scheme="ED25519")
    with pytest.raises(KeyNotFound):
        backend.sign(key=destroyed, data=MESSAGE, scheme="ED25519")
    assert destroyed.uri not in backend._loaded.in_memory


def test_a_key_made_again_after_another_process_destroyed_it_is_the_new_one(
    backend: SoftwareBackend, open_backend: Open, new_label: NewLabel
) -> None:
    request = CreateKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    first = backend.create_key(request=request)
    open_backend().destroy_key(key=first.reference)
    second = backend.create_key(request=request)
    assert second.public_key != first.public_key
    assert backend.public_key(key=second.reference).spki == second.public_key


def test_a_loaded_key_is_used_without_reading_its_file(
    backend: SoftwareBackend, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key().reference
    backend.sign(key=key, data=MESSAGE, scheme="ED25519")
    monkeypatch.setattr(os, "open", None)
    backend.sign(key=key, data=MESSAGE, scheme="ED25519")


def test_the_number_of_loaded_keys_is_bounded(
    backend: SoftwareBackend, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyclave_software.loaded._LIMIT", 3)
    for key in [new_key().reference for _ in range(8)]:
        backend.sign(key=key, data=MESSAGE, scheme="ED25519")
        assert len(backend._loaded.in_memory) <= 3


@pytest.mark.parametrize("hook", ["public_key", "enable_key", "disable_key", "destroy_key"])
def test_a_reference_whose_parts_do_not_belong_together_is_refused(
    backend: SoftwareBackend, new_key: NewKey, hook: str
) -> None:
    one, other = new_key().reference, new_key().reference
    backend.close()
    for wrong in (replace(one, uri=other.uri + "0"), replace(one, label=other.label), replace(one, uri="../x")):
        with pytest.raises(InvalidArgument, match="uri"):
            getattr(backend, hook)(key=wrong)
    assert len(listed(backend)) == 2


def test_a_reference_of_another_algorithm_is_refused(backend: SoftwareBackend, new_key: NewKey) -> None:
    key = new_key("ED25519").reference
    backend.close()
    with pytest.raises(InvalidArgument, match="of algorithm ED25519, not ECDSA_P256"):
        backend.sign(key=replace(key, algorithm="ECDSA_P256"), data=bytes(32), scheme="ECDSA_SHA256")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("name", ["mode", "link", "second name"])
def test_a_key_file_that_is_not_private_is_refused(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile, name: str
) -> None:
    created = new_key()
    path = key_file(created)
    backend.close()
    if name == "mode":
        path.chmod(0o640)
    elif name == "link":
        path.symlink_to(path.rename(path.with_name("moved")))
    else:
        path.with_name("second").hardlink_to(path)
    for call in (
        lambda: backend.find_key(label=created.reference.label),
        lambda: backend.sign(key=created.reference, data=MESSAGE, scheme="ED25519"),
        lambda: backend.disable_key(key=created.reference),
        lambda: listed(backend),
    ):
        with pytest.raises(ConfigurationError):
            call()


def test_a_backend_cannot_be_copied_or_pickled(backend: SoftwareBackend) -> None:
    with pytest.raises(TypeError, match="cannot be copied"):
        backend.__reduce_ex__(4)
