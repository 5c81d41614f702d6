"""Backends that make, find, list, disable or destroy keys wrongly."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from keyclave.crypto.wrapping import wrap_key as wrap
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyAlreadyExists, KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    KeyLabel,
    KeyPage,
    KeyReference,
    PublicKey,
    Signed,
    WrappedKey,
    hookimpl,
)
from keyclave_software.loaded import name_of, uri_of
from msgspec import structs
from pydantic import SecretBytes

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_PAGE = 2


@fault({1: "another public key"})
class PublicKeyOfAnotherKey(ZooSoftware):
    """Returns the public key of the key before."""

    last: bytes | None = None

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if made.public_key is None:
            return made
        self.last, before = made.public_key, self.last or super().create_key(_sibling(request)).public_key
        return structs.replace(made, public_key=before)


@fault({2: "listed 0 times"})
class ListForgetsTheNewestKey(ZooSoftware):
    """Lists from a cache that a new key does not refresh."""

    cache: KeyPage | None = None

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        self.cache = self.cache or super().list_keys(page)
        return self.cache


@fault({3: "its public key changed"})
class CreateReplaces(ZooSoftware):
    """Makes new material under a label that exists."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        reference = KeyReference(label=request.label, uri=_uri(request.label), algorithm=request.algorithm)
        super().destroy_key(reference)
        return super().create_key(request)


@fault({4: "KeyError|BackendUnavailable"})
class KeyErrorForMissing(ZooSoftware):
    """Lets the KeyError of a dictionary escape."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound:
            raise KeyError(label) from None


@fault({5: "signing with a destroyed key succeeded"})
class DestroyLeavesTheKeyInMemory(ZooSoftware):
    """Removes the file, and goes on signing with what it has in memory."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        loaded = self._loaded.get(key)
        result = super().destroy_key(key)
        loaded.valid_until = float("inf")
        self._loaded.in_memory[key.uri] = loaded
        return result


@fault({6: "raised KeyNotFound"})
class DestroyTwiceIsAnError(ZooSoftware):
    """Refuses to destroy what is destroyed."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        super().find_key(key.label)
        return super().destroy_key(key)


@fault({7: "came back under its label", 5: "succeeded"})
class DestroyOnlyHides(ZooSoftware):
    """Hides a destroyed key from the list and from searches, and shows it again when it is created."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hidden: set[KeyLabel] = set()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        self.hidden.discard(request.label)
        return super().create_key(request)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label in self.hidden:
            raise KeyNotFound("it is destroyed")
        return super().find_key(label)

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        listed = super().list_keys(page)
        return structs.replace(listed, keys=tuple(k for k in listed.keys if k.label not in self.hidden))

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self.hidden.add(key.label)
        return DestroyResult(state=DestroyState.DESTROYED)


@fault({8: "keys are missing in the list"})
class ListStopsAtTwenty(ZooSoftware):
    """Returns the first page of a service with pages of twenty, and no token."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        return KeyPage(keys=super().list_keys(page).keys[:20])


@fault({8: "listed twice"})
class PagesOverlap(ZooSoftware):
    """Begins each page with the last key of the page before."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        keys = super().list_keys(None).keys
        start = int(page or 0)
        following = start + 9 if start + 10 < len(keys) else None
        return KeyPage(keys=keys[start : start + 10], next_page=None if following is None else str(following))


@fault({9: "from a page token of no backend succeeded"})
class ForeignPageIsTheFirst(ZooSoftware):
    """Lists from the beginning when it does not know the page."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        return super().list_keys(None)


@fault({11: "two lists differ"})
class ListInAnyOrder(ZooSoftware):
    """Lists in the order of a set that is built anew each time."""

    turn = False

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        listed = super().list_keys(page)
        self.turn = not self.turn
        return structs.replace(listed, keys=listed.keys[::-1]) if self.turn else listed


@fault({12: "a key of another instance"})
class ListsKeysOfOthers(ZooSoftware):
    """Lists every key of the store, whoever it belongs to."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        names = self._keystore.names("", 500)
        labels = [(KeyLabel.parse(h.label), h.algorithm) for h in (self._keystore.read(n).header for n in names)]
        return KeyPage(
            keys=tuple(KeyReference(label=label, uri=_uri(label), algorithm=name) for label, name in labels)
        )


@fault({13: "succeeded"})
class UnknownAlgorithmIsTheDefault(ZooSoftware):
    """Makes an EC key of every algorithm that it does not know."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        known = {support.algorithm for support in self.describe().algorithms}
        if request.algorithm in known:
            return super().create_key(request)
        return super().create_key(structs.replace(request, algorithm="ECDSA_P256"))


@fault({13: "a key was left behind"})
class RefusesAfterTheKeyIsMade(ZooSoftware):
    """Looks at the algorithm when the key is there already."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        known = {support.algorithm for support in self.describe().algorithms}
        if request.algorithm in known:
            return super().create_key(request)
        super().create_key(structs.replace(request, algorithm="ECDSA_P256"))
        raise CapabilityUnsupported("it has no such algorithm")


@fault({14: "as exportable succeeded"})
class ExportableOnSecondThought(ZooSoftware):
    """Believes what the second request says about a key that exists."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        try:
            return super().create_key(request)
        except KeyAlreadyExists:
            made = super().create_key(structs.replace(request, exportable=not request.exportable))
            return structs.replace(made, exportable=request.exportable)


@fault({14: "must not be exportable is"})
class EverythingIsExportable(ZooSoftware):
    """Makes every key exportable."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return super().create_key(structs.replace(request, exportable=True))


@fault({15: "another label|changed the label|exactly the label"})
class VersionInOneByte(ZooSoftware):
    """Keeps the version in one byte."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        version = request.label.version & 0xFF or 1
        return super().create_key(structs.replace(request, label=structs.replace(request.label, version=version)))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        return super().find_key(structs.replace(label, version=label.version & 0xFF or 1))


@fault({16: "changed its public key|does not verify"})
class EnableMakesANewKey(ZooSoftware):
    """Replaces a disabled key when it is enabled."""

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        super().destroy_key(key)
        super().create_key(CreateKeyRequest(label=key.label, algorithm=key.algorithm, exportable=False))


@fault({18: "bytes around|no SubjectPublicKeyInfo"})
class PrivateKeyBehindThePublic(ZooSoftware):
    """Returns the whole pair where the public key is asked for."""

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        secret = self._keystore.read(key.uri.removeprefix("software:")).secret
        return PublicKey(spki=super().public_key(key).spki + secret.get_secret_value())


@fault({19: "with a disabled key succeeded"})
class DisabledKeysSign(ZooSoftware):
    """Looks at whether a key is enabled when it encrypts, and not when it signs."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        enabled = self._keystore.read(key.uri.removeprefix("software:")).header.enabled
        if not enabled:
            super().enable_key(key)
        signed = super().sign(key, data, scheme)
        if not enabled:
            super().disable_key(key)
        return signed


@fault({19: "wrapping a disabled key succeeded"})
class DisabledKeysAreWrapped(ZooSoftware):
    """Takes a disabled key for one that must not sign, and hands out the key itself."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        header, secret = self._keystore.read(name_of(key))
        if not header.exportable:
            raise CapabilityUnsupported("the key is not exportable")
        return WrappedKey(method=method, blob=wrap(secret, wrapping_public_key, method))


@fault({5: "wrapping with a destroyed key succeeded"})
class DestroyedKeysAreWrapped(ZooSoftware):
    """Keeps exportable keys in memory, to wrap them sooner."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.kept: dict[str, SecretBytes] = {}

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if made.exportable:
            self.kept[made.reference.uri] = self._keystore.read(name_of(made.reference)).secret
        return made

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        try:
            return super().wrap_key(key, wrapping_public_key, method)
        except KeyNotFound:
            if key.uri not in self.kept:
                raise
            return WrappedKey(method=method, blob=wrap(self.kept[key.uri], wrapping_public_key, method))


@fault({11: "asking for a page again raised InvalidArgument"})
class PagesAreGoodOnce(ZooSoftware):
    """Keeps the rest of a list until it is asked for, and forgets it then."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rests: dict[str, tuple[KeyReference, ...]] = {}

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        if page is not None and page not in self.rests:
            raise InvalidArgument("the page did not come from this backend")
        keys = super().list_keys(None).keys if page is None else self.rests.pop(page)
        return self.first_of(keys)

    def first_of(self, keys: tuple[KeyReference, ...]) -> KeyPage:
        if len(keys) <= _PAGE:
            return KeyPage(keys=keys)
        token = uuid4().hex
        self.rests[token] = keys[_PAGE:]
        return KeyPage(keys=keys[:_PAGE], next_page=token)


@fault({11: "a page that is asked for again is another one"})
class ListsShareACursor(ZooSoftware):
    """Searches as a session of PKCS#11 does, of which there is one, and which goes on from where it was."""

    rest: tuple[KeyReference, ...] = ()

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        if page not in {None, "more"}:
            raise InvalidArgument("the page did not come from this backend")
        keys = super().list_keys(None).keys if page is None else self.rest
        self.rest = keys[_PAGE:]
        return KeyPage(keys=keys[:_PAGE], next_page="more" if self.rest else None)


def _uri(label: KeyLabel) -> str:
    return uri_of(str(label))


def _sibling(request: CreateKeyRequest) -> CreateKeyRequest:
    label = structs.replace(request.label, version=request.label.version + 1000)
    return structs.replace(request, label=label)
