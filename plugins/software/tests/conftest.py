"""Backends in scratch directories, and keys in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreatedKey, CreateKeyRequest, ImportKeyRequest, ImportTicket, KeyLabel
from keyclave_software import plugin
from keyclave_software import tickets as tickets_module
from keyclave_software.backend import SoftwareBackend

Open = Callable[..., SoftwareBackend]
NewLabel = Callable[[], KeyLabel]
NewKey = Callable[..., CreatedKey]
KeyFile = Callable[[CreatedKey], Path]
Begin = Callable[..., ImportTicket]
Write = Callable[[str, bytes], Path]
PASSPHRASE = b"correct horse battery staple"


@pytest.fixture
def instance_id() -> UUID:
    return uuid4()


@pytest.fixture
def data_directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def open_backend(instance_id: UUID, data_directory: Path) -> Iterator[Open]:
    """Open the same keystore again and again, as another process would."""
    opened: list[SoftwareBackend] = []

    def open_with(**settings: Any) -> SoftwareBackend:
        context = BackendContext(
            backend_id="software",
            instance_id=instance_id,
            environment_type=EnvironmentType.LOCAL,
            data_directory=data_directory,
        )
        backend = plugin.open_backend(plugin.settings_model()(**settings), context)
        assert isinstance(backend, SoftwareBackend)
        opened.append(backend)
        return backend

    yield open_with
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(open_backend: Open) -> SoftwareBackend:
    return open_backend()


@pytest.fixture
def new_label(instance_id: UUID) -> NewLabel:
    return lambda: KeyLabel(instance_id=instance_id, key_id=uuid4(), version=1, operation_id=uuid4())


@pytest.fixture
def new_key(backend: SoftwareBackend, new_label: NewLabel) -> NewKey:
    def create(algorithm: str = "ED25519", *, exportable: bool = False) -> CreatedKey:
        return backend.create_key(
            CreateKeyRequest(label=new_label(), algorithm=algorithm, exportable=exportable),
        )

    return create


@pytest.fixture
def key_file(data_directory: Path) -> KeyFile:
    """Where a key is kept."""
    return lambda created: data_directory / (created.reference.uri.removeprefix("software:") + ".key")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_private(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    return write_private


@pytest.fixture
def passphrase_file(write: Write) -> Path:
    return write("passphrase", PASSPHRASE + b"\n")


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def wrapping_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


@pytest.fixture(scope="session")
def wrapping_spki(wrapping_key: rsa.RSAPrivateKey) -> bytes:
    return wrapping_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def one_wrapping_key(wrapping_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one for each of some fifty tickets would take most of the time of these tests."""
    monkeypatch.setattr(tickets_module, "generate_wrapping_key", lambda: wrapping_key)


@pytest.fixture
def begin_in(new_label: NewLabel, one_wrapping_key: None) -> Begin:
    def begin_import(
        backend: SoftwareBackend, algorithm: str, *, exportable: bool = False, label: KeyLabel | None = None
    ) -> ImportTicket:
        return backend.begin_import(
            request=ImportKeyRequest(label=label or new_label(), algorithm=algorithm, exportable=exportable)
        )

    return begin_import


@pytest.fixture
def begin(backend: SoftwareBackend, begin_in: Begin) -> Begin:
    return partial(begin_in, backend)
