"""The right backend that most faults are made from: the software backend, with few algorithms so that it is fast."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.crypto.wrapping import generate_wrapping_key
from keyclave.plugin import (
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave.plugin.files import create_private, private_directory
from keyclave_software.backend import SoftwareBackend
from keyclave_software.keystore import has_keys
from keyclave_software.master_key import MasterKey
from keyclave_software.protection import FILE_NAME
from keyclave_software.settings import SoftwareSettings
from keyclave_software.sources import source_of
from keyclave_software.tickets import Tickets
from keyclave_software.unlocking import unlock

from tests.zoo.cut import SCHEMES, cut, require

__all__ = ["SECRET", "ZooSoftware", "opened", "opened_with_secret"]

SECRET = b"a master key that nobody may see"
"""As long as a master key must be."""


class _ZooTickets(Tickets):
    """Tickets of one wrapping key: making one for each would take a third of the time of a run."""

    def _new_wrapping_key(self) -> rsa.RSAPrivateKey:
        return _wrapping_key()


_wrapping_key = cache(generate_wrapping_key)


class ZooSoftware(SoftwareBackend):
    """The software backend, with what every kind of key and signature needs one of."""

    def __init__(self, directory: Path, master: MasterKey, instance_id: UUID) -> None:
        super().__init__(directory, master, instance_id)
        self._tickets = _ZooTickets()

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return the description of the software backend, cut down."""
        return cut(super().describe())

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Create a key of an algorithm that is described."""
        require(request.algorithm in SCHEMES)
        return super().create_key(request)

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket for a key of an algorithm that is described."""
        require(request.algorithm in SCHEMES)
        return super().begin_import(request)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign with a scheme that is described."""
        require(scheme in SCHEMES[key.algorithm])
        return super().sign(key, data, scheme)


def opened(kind: type[ZooSoftware], context: BackendContext) -> ZooSoftware:
    """Open a backend of a class as the software plugin opens its own."""
    return _opened(kind, context, SoftwareSettings())


def opened_with_secret(kind: type[ZooSoftware], context: BackendContext) -> ZooSoftware:
    """Open a backend of a class whose settings name a file with `SECRET`."""
    file = private_directory(context.data_directory) / "secret"
    if not file.exists():
        create_private(file, SECRET)
    return _opened(kind, context, SoftwareSettings(key_file=file))


def _opened(kind: type[ZooSoftware], context: BackendContext, settings: SoftwareSettings) -> ZooSoftware:
    directory = private_directory(context.data_directory)
    source = source_of(settings, directory / "master.key")
    master = unlock(source, directory / FILE_NAME, has_keys=has_keys(directory))
    return kind(directory, master, context.instance_id)
