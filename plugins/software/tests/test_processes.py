"""Several processes, and several instances, on one keystore."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key
from keyclave.errors import IntegrityError, KeyclaveError, KeyDisabled, KeyNotFound
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreateKeyRequest, KeyLabel, KeyReference
from keyclave_software import plugin
from keyclave_software.backend import SoftwareBackend
from msgspec.structs import replace

from plugins.software.tests.conftest import KeyFile, NewKey, NewLabel

MESSAGE = b"message"


def open_as(instance_id: UUID, data_directory: Path) -> SoftwareBackend:
    context = BackendContext(
        backend_id="software",
        instance_id=instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=data_directory,
    )
    backend = plugin.open_backend(plugin.settings_model()(), context)
    assert isinstance(backend, SoftwareBackend)
    return backend


def request(label: KeyLabel) -> CreateKeyRequest:
    return CreateKeyRequest(label=label, algorithm="ED25519", exportable=False)


def require_whole(backend: SoftwareBackend, key: KeyReference) -> None:
    public_key = load_der_public_key(backend.public_key(key=key).spki)
    assert isinstance(public_key, ed25519.Ed25519PublicKey)
    public_key.verify(backend.sign(key=key, data=MESSAGE, scheme="ED25519").signature, MESSAGE)


def change(backend: SoftwareBackend, label: KeyLabel, choice: int) -> None:
    if choice == 0:
        backend.create_key(request=request(label))
        return
    key = backend.find_key(label=label)
    hooks: tuple[Callable[..., Any], ...] = (backend.destroy_key, backend.disable_key, backend.enable_key)
    if choice <= len(hooks):
        hooks[choice - 1](key=key)
    else:
        backend.sign(key=key, data=MESSAGE, scheme="ED25519")


def work(labels: list[KeyLabel], data_directory: Path, seed: int, results: Any) -> None:
    backend, choices, done = open_as(labels[0].instance_id, data_directory), random.Random(seed), 0
    unexpected = []
    for _ in range(150):
        try:
            change(backend, choices.choice(labels), choices.randrange(6))
            done += 1
        except (KeyNotFound, KeyDisabled):
            pass  # another one was faster
        except Exception as error:
            unexpected.append(repr(error))
    results.put((done, unexpected))


def test_processes_that_create_and_destroy_the_same_keys_leave_whole_ones(
    data_directory: Path, new_label: NewLabel
) -> None:
    labels = [new_label() for _ in range(3)]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=work, args=(labels, data_directory, n, results)) for n in range(3)]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert [unexpected for _, unexpected in outcomes] == [[], [], []]
    assert sum(done for done, _ in outcomes) > 150
    backend = open_as(labels[0].instance_id, data_directory)
    for key in backend.list_keys(page=None).keys:
        backend.enable_key(key=key)
        require_whole(backend, key)
        backend.destroy_key(key=key)
    assert {path.name for path in data_directory.iterdir()} == {"keystore.json", "keystore.lock", "master.key"}


def fork_and_change(label: KeyLabel, data_directory: Path) -> None:
    backend = open_as(label.instance_id, data_directory)
    others = [replace(label, key_id=uuid4()) for _ in range(2)]
    kept, destroyed = (backend.create_key(request=request(other)).reference for other in others)
    child = os.fork()
    if child == 0:
        require_whole(backend, kept)
        require_whole(backend, backend.create_key(request=request(label)).reference)
        backend.destroy_key(key=destroyed)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    require_whole(backend, kept)
    require_whole(backend, backend.find_key(label=label))
    with pytest.raises(KeyNotFound):
        backend.find_key(label=destroyed.label)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_uses_makes_and_destroys_keys_like_its_parent(
    data_directory: Path, new_label: NewLabel
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=fork_and_change, args=(new_label(), data_directory))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0


def test_another_instance_with_a_copy_of_the_keystore_finds_none_of_its_keys(
    new_key: NewKey, key_file: KeyFile, data_directory: Path, tmp_path: Path
) -> None:
    created = new_key()
    shutil.copytree(data_directory, tmp_path / "copy")
    other = open_as(uuid4(), tmp_path / "copy")
    assert other.list_keys(page=None).keys == ()
    label = KeyLabel(instance_id=uuid4(), key_id=created.reference.label.key_id, version=1, operation_id=uuid4())
    with pytest.raises(KeyNotFound):
        other.find_key(label=label)
    made = other.create_key(request=request(label))
    target = tmp_path / "copy" / key_file(made).name
    shutil.copy(key_file(created), target)
    other.close()
    with pytest.raises(IntegrityError, match="holds another key"):
        other.sign(key=made.reference, data=MESSAGE, scheme="ED25519")


def test_a_key_file_of_another_keystore_is_refused(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile, instance_id: UUID, tmp_path: Path
) -> None:
    created = new_key()
    other = open_as(instance_id, tmp_path / "other")
    made = other.create_key(request=request(created.reference.label))
    shutil.copy(tmp_path / "other" / key_file(made).name, key_file(created))
    backend.close()
    with pytest.raises(KeyclaveError, match="not what was written") as caught:
        backend.sign(key=created.reference, data=MESSAGE, scheme="ED25519")
    assert type(caught.value) is IntegrityError
