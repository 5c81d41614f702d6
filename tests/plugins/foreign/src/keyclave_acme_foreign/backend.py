"""The hooks over the directory."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave.models import AuthenticationMethod
from keyclave.plugin import (
    AdoptKeyRequest,
    AlgorithmSupport,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    ForeignKey,
    ForeignKeyPage,
    KeyLabel,
    KeyPage,
    KeyReference,
    PublicKey,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    hookimpl,
)

from .directory import Directory
from .settings import ForeignSettings

T = TypeVar("T")
_PREFIX = "acme-foreign:"


class DirectoryBackend:
    """Everything but encryption, disabling and moving keys."""

    def __init__(self, settings: ForeignSettings, instance_id: UUID) -> None:
        self._settings = settings
        self._instance_id = instance_id
        self._keys = Directory(settings.keys)

    @hookimpl
    def describe(self) -> BackendDescription:
        scheme = SchemeSupport(scheme="ED25519", input=SigningInput.MESSAGE, encoding=SignatureEncoding.RAW)
        return BackendDescription(
            contract="2026.11",
            provider_type="acme-foreign",
            security_level=self._settings.level,
            evidence=("keys are in plain files",),
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            credential_source=self._settings.credential_source,
            location=self._settings.location,
            algorithms=(AlgorithmSupport(algorithm="ED25519", schemes=(scheme,)),),
        )

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return self._kept(request.label, self._keys.make(request.label))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        return _reference(label, self._keys.find(label))

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        labels = ((name, self._keys.label(name)) for name in self._keys.names())
        own = [_reference(label, name) for name, label in labels if label and label.instance_id == self._instance_id]
        keys, next_page = self._page(own, page)
        return KeyPage(keys=keys, next_page=next_page)

    @hookimpl
    def list_foreign_keys(self, page: str | None) -> ForeignKeyPage:
        names = [name for name in self._keys.names() if self._keys.label(name) is None]
        keys, next_page = self._page([self._foreign(name) for name in names], page)
        return ForeignKeyPage(keys=keys, next_page=next_page)

    @hookimpl
    def adopt_key(self, request: AdoptKeyRequest) -> CreatedKey:
        name = request.uri.removeprefix(_PREFIX)
        self._keys.adopt(name, request.label)
        return self._kept(request.label, name)

    @hookimpl
    def forget_key(self, key: KeyReference) -> None:
        self._keys.forget(_name(key), key.label)

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        return PublicKey(spki=self._spki(_name(key)))

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self._keys.destroy(_name(key))
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=self._keys.load(_name(key)).sign(data))

    def _kept(self, label: KeyLabel, name: str) -> CreatedKey:
        return CreatedKey(
            reference=_reference(label, name),
            public_key=self._spki(name),
            exportable=False,
            hsm_backed=False,
            provider_reference="request to keep",
        )

    def _foreign(self, name: str) -> ForeignKey:
        return ForeignKey(
            uri=f"{_PREFIX}{name}", algorithm="ED25519", description=f"file {name}", public_key=self._spki(name)
        )

    def _spki(self, name: str) -> bytes:
        return self._keys.load(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def _page(self, items: list[T], page: str | None) -> tuple[tuple[T, ...], str | None]:
        start = int(page or 0)
        end = start + self._settings.page_size
        return tuple(items[start:end]), str(end) if end < len(items) else None


def _reference(label: KeyLabel, name: str) -> KeyReference:
    return KeyReference(label=label, uri=f"{_PREFIX}{name}", algorithm="ED25519")


def _name(key: KeyReference) -> str:
    return key.uri.removeprefix(_PREFIX)
