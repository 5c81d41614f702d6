"""Backends that lose, tear or forget what they were asked to keep."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keyclave.crypto.wrapping import wrap_key as wrap
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    KeyAlreadyExists,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    WrappedKey,
    hookimpl,
)
from keyclave_software.keystore import key_name
from keyclave_software.material import generate
from keyclave_software.sealed import KeyHeader, SealedKey
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware

_SLOW = 0.02
_INTERRUPTIBLE = 0.3
"""As long as a kill is aimed at: much longer than what else a call does, on a busy machine as well."""
"""Seconds that a device takes for what is done in between."""


@fault({103: "a key was missing, or elsewhere"})
class KeysOfThisHandleOnly(ZooSoftware):
    """Keeps its index in memory."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.index: set[KeyLabel] = set()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.label not in self.index and self._keystore.has(key_name(str(request.label))):
            raise KeyAlreadyExists("a key of this label exists, and is not in the index")
        self.index.add(request.label)
        return super().create_key(request)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label not in self.index:
            raise KeyNotFound("the index has no key of this label")
        return super().find_key(label)


@fault({103: "when the backend was opened again, succeeded"})
class ExportabilityIsForgotten(ZooSoftware):
    """Remembers which keys must not leave it until it is closed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.staying: set[str] = set()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        if not made.exportable:
            self.staying.add(made.reference.uri)
        return made

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        if key.uri in self.staying:
            raise CapabilityUnsupported("the key is not exportable")
        secret = self._keystore.read(key_name(str(key.label))).secret
        return WrappedKey(method=method, blob=wrap(secret, wrapping_public_key, method))


class _OwnWriting(ZooSoftware):
    """A right backend whose subclasses write key files in their own way."""

    def write(self, name: str, content: bytes) -> None:
        raise NotImplementedError

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        name = key_name(str(request.label))
        if request.algorithm in {s.algorithm for s in self.describe().algorithms} and not self._keystore.has(name):
            header = KeyHeader(
                label=str(request.label),
                algorithm=request.algorithm,
                exportable=request.exportable,
                created_at=datetime.now(UTC),
            )
            sealed = self._keystore._sealed(SealedKey(header, generate(request.algorithm)))
            self.write(name, sealed.get_secret_value())
        return super().create_key(request)


@fault(
    {104: "neither there nor gone|finding each of them raised", 107: "repeating a call that was interrupted raised"}
)
class FilesAreWrittenInPieces(_OwnWriting):
    """Writes a key file under its final name, one part after the other."""

    def write(self, name: str, content: bytes) -> None:
        descriptor = os.open(self._keystore.path(name), os.O_CREAT | os.O_WRONLY, 0o600)
        for start in (0, 50, 100, 150):
            os.write(descriptor, content[start:] if start == 150 else content[start : start + 50])
            time.sleep(_SLOW)
        os.close(descriptor)


@fault({105: "after creating a key while nothing .*, a key is neither there nor gone|creating a key raised OSError"})
class FailedWritesLeaveTheirFile(_OwnWriting):
    """Opens the file under its final name, and does not think of what happens if nothing can be written to it."""

    def write(self, name: str, content: bytes) -> None:
        descriptor = os.open(self._keystore.path(name), os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)


@fault({105: "after disabling a key while nothing could be written, a key is neither there nor gone"})
class DisablingRewritesInPlace(ZooSoftware):
    """Empties the file of a key, and then writes it with the key disabled."""

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        name = key_name(str(key.label))
        sealed = self._keystore.read(name)
        changed = self._keystore._sealed(sealed._replace(header=structs.replace(sealed.header, enabled=False)))
        self._loaded.forget(key)
        _rewrite(self._keystore.path(name), changed.get_secret_value())


@fault({105: "after enabling a key while nothing could be written, it is gone"})
class EnablingRemovesFirst(ZooSoftware):
    """Removes the file of a disabled key, and then writes one with the key enabled."""

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        sealed = self._keystore.read(key_name(str(key.label)))
        super().destroy_key(key)
        enabled = sealed._replace(header=structs.replace(sealed.header, enabled=True))
        try:
            self._keystore.add(enabled)
        except BackendUnavailable:
            raise OutcomeUnknown("the key may not have been enabled") from None


@fault({105: "after destroying a key while nothing could be written, a key is neither there nor gone"})
class DestructionOverwritesFirst(ZooSoftware):
    """Writes zeros over the file of a key, and removes it once they are on the disk."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        path = self._keystore.path(key_name(str(key.label)))
        if path.exists():
            _rewrite(path, bytes(path.stat().st_size))
        return super().destroy_key(key)


@fault({105: "making a new version of a key was reported as done while nothing could be written"})
class NewVersionsAreWrittenLater(ZooSoftware):
    """Writes the first version of a key at once, and later ones when there is room."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        try:
            return super().create_key(request)
        except BackendUnavailable:
            if request.label.version == 1:
                raise
            first = self.find_key(structs.replace(request.label, version=1))
            return CreatedKey(
                reference=structs.replace(first, label=request.label),
                public_key=self.public_key(first).spki,
                exportable=request.exportable,
                hsm_backed=False,
            )


@fault({105: "after importing a key while nothing could be written, a key is neither there nor gone"})
class ImportsTakeTheNameFirst(ZooSoftware):
    """Makes an empty file under the final name of an import, and then writes what it holds."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        path = self._keystore.path(key_name(str(ticket.request.label)))
        path.touch(0o600, exist_ok=False)
        _rewrite(path, b"to come")
        path.unlink()
        return super().import_key(ticket, wrapped)


@fault({105: "destroying keys after writes that failed left 1 files of them"})
class DestructionRenamesFirst(ZooSoftware):
    """Gives the file of a key another name, writes down that it is destroyed, and removes the file then."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        path = self._keystore.path(key_name(str(key.label)))
        if path.exists():
            aside = path.with_suffix(".destroyed")
            path.rename(aside)
            _rewrite(self._directory / "destroyed", path.name.encode())
            aside.unlink()
        return super().destroy_key(key)


@fault({107: "left [1-9] files of them"})
class InterruptedCallsLeaveADraft(_OwnWriting):
    """Writes a draft of each key, under a name that nobody knows again once the process is killed."""

    def write(self, name: str, content: bytes) -> None:
        draft = self._directory / f"draft-{os.getpid()}-{name}"
        draft.write_bytes(content)
        time.sleep(_INTERRUPTIBLE)
        draft.unlink()


@fault({107: "left [1-9] files of them"})
class InterruptedImportsLeaveADraft(ZooSoftware):
    """Keeps what is to be imported in a file until it is stored, and a process that is killed never removes it."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        draft = self._directory / f"{ticket.ticket_id}.import"
        draft.write_bytes(wrapped.blob)
        time.sleep(_INTERRUPTIBLE)
        made = super().import_key(ticket, wrapped)
        draft.unlink()
        return made


@fault({104: "keys are there that are destroyed", 106: "finding a key destroyed before succeeded"})
class DestructionIsWrittenNever(ZooSoftware):
    """Removes a destroyed key from what is in memory."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gone: set[KeyLabel] = set()

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        if label in self.gone:
            raise KeyNotFound("it is destroyed")
        return super().find_key(label)

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        listed = super().list_keys(page)
        return structs.replace(listed, keys=tuple(k for k in listed.keys if k.label not in self.gone))

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self.gone.add(key.label)
        return DestroyResult(state=DestroyState.DESTROYED)


@fault({106: "asked again, it made another key"})
class RequestsAreRememberedInMemory(ZooSoftware):
    """Knows which requests it has answered until it is closed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.answered: dict[KeyLabel, CreatedKey] = {}

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.label not in self.answered:
            self._keystore.remove(key_name(str(request.label)))
            self.answered[request.label] = super().create_key(request)
        return self.answered[request.label]


@fault({107: "repeating a call that was interrupted raised Conflict"})
class InterruptedCallsBlockTheLabel(ZooSoftware):
    """Marks the label as being worked on, and nobody takes the mark of a killed process away."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        mark = self._directory / (key_name(str(request.label)) + ".busy")
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            raise Conflict("somebody else is making this key") from None
        time.sleep(_INTERRUPTIBLE)
        made = super().create_key(request)
        time.sleep(_INTERRUPTIBLE)
        mark.unlink()
        return made


@fault({107: "left a key of another algorithm"})
class ImportsAreNamedTooEarly(ZooSoftware):
    """Makes a key under the label of an import first, so that it is taken, and puts the imported one in its place."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        request = ticket.request
        placeholder = KeyHeader(
            label=str(request.label), algorithm="AES_256", exportable=False, created_at=datetime.now(UTC)
        )
        self._keystore.add(SealedKey(placeholder, generate("AES_256")))
        time.sleep(_INTERRUPTIBLE)
        self._keystore.remove(key_name(str(request.label)))
        return super().import_key(ticket, wrapped)


def _rewrite(path: Path, content: bytes) -> None:
    """Empty a file and write it anew, as long as there is room."""
    try:
        path.write_bytes(content)
    except OSError:
        raise OutcomeUnknown("the file may not have been written") from None
