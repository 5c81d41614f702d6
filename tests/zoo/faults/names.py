"""Backends that take one name for another."""

from __future__ import annotations

from keyclave.errors import InvalidArgument, KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave_software.loaded import uri_of
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_ROOM = 80
"""How many characters of a name there is room for."""


@fault({91: "by a label that nearly is its own succeeded"})
class NamesAreCut(ZooSoftware):
    """Compares as many characters of a name as it has room for."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        name = str(label)[:_ROOM]
        for key in super().list_keys(None).keys:
            if str(key.label)[:_ROOM] == name:
                return key
        raise KeyNotFound("no key of this name")


@fault({91: "by a label that nearly is its own succeeded"})
class FindsByKeyIdAlone(ZooSoftware):
    """Looks for the id of the key, and not for the operation that made it."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        for key in super().list_keys(None).keys:
            if (key.label.key_id, key.label.version) == (label.key_id, label.version):
                return key
        raise KeyNotFound("no key of this name")


@fault({92: "have 3 of (uri|label) between them"})
class CreateFindsANeighbour(ZooSoftware):
    """Returns the key that is there when the first half of the id is the same."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        for key in super().list_keys(None).keys:
            if _half(key.label) == _half(request.label) and key.label != request.label:
                return super().create_key(structs.replace(request, label=key.label))
        return super().create_key(request)


@fault({92: "took one with a nearly equal label away"})
class DestroyUsesAPattern(ZooSoftware):
    """Removes every name that begins like the one that was asked for."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        for other in super().list_keys(None).keys:
            if str(other.label)[:_ROOM] == str(key.label)[:_ROOM]:
                super().destroy_key(other)
        return DestroyResult(state=DestroyState.DESTROYED)


@fault({93: "signing by a name that only looks like one succeeded"})
class SchemesAreTrimmed(ZooSoftware):
    """Trims the names of schemes."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data, scheme.strip())


@fault({93: "importing by a name that only looks like one succeeded"})
class AlgorithmsInAnyCase(ZooSoftware):
    """Takes the names of algorithms in lower case, too."""

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        return super().begin_import(structs.replace(request, algorithm=request.algorithm.upper()))


@fault({94: "by a changed address succeeded"})
class AddressesAreNormalised(ZooSoftware):
    """Takes what stands before the first character that does not belong into an address."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(_normalised(key), data, scheme)


@fault({94: "(signing|encrypting) by a changed address succeeded"})
class AddressesAreIgnored(ZooSoftware):
    """Finds a key by its label, whatever its address is."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(structs.replace(key, uri=uri_of(str(key.label))), data, scheme)


@fault({95: r"with a lone surrogate raised (UnicodeEncodeError|BackendUnavailable)"})
class WordsAreEncodedUnchecked(ZooSoftware):
    """Encodes the name of a scheme for its library before it looks at it."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if len(scheme.encode()) > _ROOM:
            raise InvalidArgument("the name of the scheme is too long")
        return super().sign(key, data, scheme)


@fault({95: r"listing from a page with a lone surrogate raised (UnicodeEncodeError|BackendUnavailable)"})
class PagesAreEncodedUnchecked(ZooSoftware):
    """Encodes the page for its library before it looks at it."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        if page is not None and len(page.encode()) > _ROOM:
            raise InvalidArgument("the page is too long")
        return super().list_keys(page)


def _half(label: KeyLabel) -> tuple[str, int, str]:
    return label.key_id.hex, label.version, label.operation_id.hex[:16]


def _normalised(key: KeyReference) -> KeyReference:
    uri = "".join(character for character in key.uri if character.isalnum() or character == ":")
    return structs.replace(key, uri=uri)
