"""Backends that are right for one caller, and mix up what several of them do at once."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Timer
from typing import Any, ClassVar

from keyclave.errors import BackendUnavailable
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    Encrypted,
    KeyLabel,
    KeyPage,
    KeyReference,
    PublicKey,
    Signed,
    hookimpl,
)
from keyclave_software.keystore import key_name
from keyclave_software.loaded import uri_of

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_MOMENT = 0.003
_ROUND_TRIP = 0.01


@fault({10: "listing while keys come and go raised KeyNotFound"})
class ListTripsOverWhatIsGone(ZooSoftware):
    """Lists the names first, and then looks each of them up, as the APIs of clouds want it."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        listed = super().list_keys(page)
        time.sleep(_ROUND_TRIP)
        return KeyPage(keys=tuple(self.find_key(key.label) for key in listed.keys), next_page=listed.next_page)


@fault({10: "a key that stayed was listed 2 times"})
class PagesByOffset(ZooSoftware):
    """Lists the newest keys first, in pages that begin at an offset."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.newest_first: list[KeyReference] = []

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if made.reference not in self.newest_first:
            self.newest_first.insert(0, made.reference)
        return made

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        start = int(page or 0)
        there = [key for key in self.newest_first if self._keystore.has(key_name(str(key.label)))]
        following = start + 4 if start + 4 < len(there) else None
        return KeyPage(keys=tuple(there[start : start + 4]), next_page=None if following is None else str(following))


@fault({96: "is not over its message"})
class ThreadsShareABuffer(ZooSoftware):
    """Keeps what is to be signed in the one session that it has."""

    buffer = b""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.buffer = data
        time.sleep(_MOMENT)
        return super().sign(key, self.buffer, scheme)


@fault({97: "decrypts to something else"})
class HandlesShareABuffer(ZooSoftware):
    """Keeps what is to be encrypted in a session of the library, which all handles share."""

    buffer: ClassVar[bytes] = b""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        HandlesShareABuffer.buffer = plaintext
        time.sleep(_MOMENT)
        return super().encrypt(key, HandlesShareABuffer.buffer, aad)


@fault({97: "a key has another address in another handle, or beside another thread"})
class ThreadsFindEachOthersKeys(ZooSoftware):
    """Keeps the label that is searched for in the one search that the session allows."""

    wanted: KeyLabel | None = None

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        self.wanted = label
        time.sleep(_MOMENT)
        return super().find_key(self.wanted)


@fault({97: "a key has another public key in another handle, or beside another thread"})
class ThreadsGetEachOthersPublicKeys(ZooSoftware):
    """Asks for the public key of whichever key was named last."""

    asked: KeyReference | None = None

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        self.asked = key
        time.sleep(_MOMENT)
        return super().public_key(self.asked)


@fault({97: "opening a second handle raised BackendUnavailable"})
class OneHandleOnly(ZooSoftware):
    """Opens its store for itself alone."""

    opened: ClassVar[set[Path]] = set()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self._directory in self.opened:
            raise BackendUnavailable("the store is in use")
        self.opened.add(self._directory)

    def close(self) -> None:
        super().close()
        self.opened.discard(self._directory)


@fault({99: "threads that created under one label at once got", 100: "cannot have happened one call after the other"})
class LooksThenCreates(ZooSoftware):
    """Looks whether there is a key of the label, and if not, writes one over whatever is there by then."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        label = str(request.label)
        if not self._keystore.has(key_name(label)):
            time.sleep(_MOMENT)
            super().destroy_key(KeyReference(label=request.label, uri=uri_of(label), algorithm=request.algorithm))
        return super().create_key(request)


@fault({100: "cannot have happened one call after the other"})
class DestroysInTheBackground(ZooSoftware):
    """Says that a key is destroyed, and sees to it a moment later."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pending: list[Timer] = []

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        timer = Timer(_MOMENT, super().destroy_key, [key])
        self.pending.append(timer)
        timer.start()
        return DestroyResult(state=DestroyState.DESTROYED)

    def close(self) -> None:
        for timer in self.pending:
            timer.join()
        super().close()
