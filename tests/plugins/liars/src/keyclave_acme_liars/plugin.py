"""A healthy plugin, and one for each lie."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from keyclave.errors import AuditUnavailable, KeyDisabled
from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import (
    AlgorithmSupport,
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    KeyReference,
    Location,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    hookimpl,
)
from pydantic import BaseModel, field_validator

SECRET = "canary-pin-4711"


class Settings(BaseModel, extra="forbid"):
    """None."""


class Honest:
    """A device with one Ed25519 key."""

    level = SecurityLevel.SOFTWARE
    encoding = SignatureEncoding.RAW

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = ed25519.Ed25519PrivateKey.generate()

    @hookimpl
    def describe(self) -> BackendDescription:
        ed25519 = SchemeSupport(scheme="ED25519", input=SigningInput.MESSAGE, encoding=self.encoding)
        return BackendDescription(
            contract="2026.11",
            provider_type=self.name,
            security_level=self.level,
            evidence=(),
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            location=Location.DEVICE,
            algorithms=(AlgorithmSupport(algorithm="ED25519", schemes=(ed25519,)),),
        )

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return self.made(request)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=self.key.sign(data))

    def made(self, request: CreateKeyRequest, uri: str = "acme:1") -> CreatedKey:
        reference = KeyReference(label=request.label, uri=uri, algorithm=request.algorithm)
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return CreatedKey(reference=reference, public_key=spki, exportable=request.exportable, hsm_backed=False)


class LyingRecord(CreatedKey, frozen=True, kw_only=True):
    """A record that answers differently each time."""

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class LyingText(str):
    """Text that is equal to everything."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class LyingBytes(bytes):
    """Bytes that are equal to everything."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class SubclassRecord(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return LyingRecord(**msgspec.structs.asdict(self.made(request)))


class SubclassText(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return self.made(request, LyingText("acme:1"))


class BytesSubclass(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=LyingBytes(self.key.sign(data)))


class MemoryView(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        view: Any = memoryview(self.key.sign(data))
        return Signed(signature=view)


class HugeSignature(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=bytes(50_000_000))


class AnotherKey(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=ed25519.Ed25519PrivateKey.generate().sign(data))


class AnotherPublicKey(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return Honest(self.name).made(request)


class ChangesRequest(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        msgspec.structs.force_setattr(request.label, "version", 7)
        return self.made(request)


class ChangesReference(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        msgspec.structs.force_setattr(key, "algorithm", "AES_256")
        return Signed(signature=bytes(64))


class AnotherLevel(Honest):
    level = SecurityLevel.HSM


class AnotherEncoding(Honest):
    encoding = SignatureEncoding.P1363


class ChangesItsMind(Honest):
    """It says first that it is a device, and then that it needs no verification."""

    asked = 0

    @hookimpl
    def describe(self) -> BackendDescription:
        self.asked += 1
        location = Location.DEVICE if self.asked == 1 else Location.IN_PROCESS
        return msgspec.structs.replace(super().describe(), location=location)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.describe()
        return Signed(signature=bytes(64))


class Unwritable(Honest):
    @hookimpl
    def describe(self) -> BackendDescription:
        return msgspec.structs.replace(super().describe(), evidence=("\ud800",))


class WrongAddress(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return self.made(request, "key 7")


class BlocksCreating(Honest):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        threading.Event().wait()
        return self.made(request)


class BlocksSigning(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        threading.Event().wait()
        return Signed(signature=self.key.sign(data))


class BlocksDescribing(Honest):
    @hookimpl
    def describe(self) -> BackendDescription:
        threading.Event().wait()
        return super().describe()


class GeneratorExits(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise GeneratorExit(SECRET)


class Interrupts(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise KeyboardInterrupt(SECRET)


class Silent(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


class SilentError(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise Silent(SECRET)


class SilentDisabled(KeyDisabled):
    """An error of the plugin's own that looks like one of Keyclave."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


class OwnError(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        error: Any = SilentDisabled("it is off", next_step="Turn it on.")
        error.pin = SECRET
        error.key_name = {SECRET: SECRET}
        error.add_note(SECRET)
        raise error from RuntimeError(SECRET)


class AuditError(Honest):
    """It says of the audit log what only the core can know."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise AuditUnavailable("it is not recorded")


class Nameless(type):
    """The type of a class that has no name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is the lie
        raise RuntimeError(SECRET)


class HidesItsName(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Nameless("Nothing", (), {})()  # type: ignore[no-any-return]  # that is the lie


class Classless(Exception):
    """An exception that does not say what it is."""

    @property  # type: ignore[misc]  # that is the lie
    def __class__(self) -> Any:
        raise RuntimeError(SECRET)


class HidesItsClass(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise Classless(SECRET)


class Traceless(Exception):
    """An exception that does not say where it was raised."""

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]  # that is the lie
        raise SystemExit(SECRET)


class HidesItsTrace(Honest):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        raise Traceless(SECRET)


class Elsewhere:
    """A settings model that does not say what it is."""

    @property  # type: ignore[misc]  # that is the lie
    def __class__(self) -> Any:
        raise RuntimeError(SECRET)


class DirectoryExits(Honest):
    def __dir__(self) -> list[str]:
        raise SystemExit(SECRET)


class DirectoryBlocks(Honest):
    def __dir__(self) -> list[str]:
        threading.Event().wait()
        return []


class ExitingSettings(BaseModel, extra="forbid", validate_default=True):
    """Settings whose validator ends the process."""

    pin: str = SECRET

    @field_validator("pin", mode="before")
    @classmethod
    def _exit(cls, _: object) -> str:
        raise SystemExit(SECRET)


class TellingSettings(ExitingSettings):
    """Settings whose validator repeats what it was given."""

    @field_validator("pin", mode="before")
    @classmethod
    def _exit(cls, value: object) -> str:
        raise ValueError(f"the PIN {value} is wrong")


class Plugin:
    """What the entry point names: a plugin whose backend is of the given class."""

    def __init__(self, name: str, backend: type[Honest] = Honest, settings: type[BaseModel] = Settings) -> None:
        self._name, self._backend, self._settings = name, backend, settings

    @hookimpl
    def settings_model(self) -> type[BaseModel]:
        return self._settings

    @hookimpl
    def open_backend(self, settings: object, context: BackendContext) -> object:
        return self._backend(self._name)


class SettingsElsewhere(Plugin):
    """Its settings model is none, and does not say so."""

    @hookimpl
    def settings_model(self) -> type[BaseModel]:
        return Elsewhere()  # type: ignore[return-value]  # that is the lie


honest = Plugin("honest")
subclass_record = Plugin("subclass-record", SubclassRecord)
subclass_text = Plugin("subclass-text", SubclassText)
bytes_subclass = Plugin("bytes-subclass", BytesSubclass)
memory_view = Plugin("memory-view", MemoryView)
huge_signature = Plugin("huge-signature", HugeSignature)
another_key = Plugin("another-key", AnotherKey)
another_public_key = Plugin("another-public-key", AnotherPublicKey)
changes_request = Plugin("changes-request", ChangesRequest)
changes_reference = Plugin("changes-reference", ChangesReference)
another_level = Plugin("another-level", AnotherLevel)
another_encoding = Plugin("another-encoding", AnotherEncoding)
changes_its_mind = Plugin("changes-its-mind", ChangesItsMind)
unwritable = Plugin("unwritable", Unwritable)
wrong_address = Plugin("wrong-address", WrongAddress)
blocks_creating = Plugin("blocks-creating", BlocksCreating)
blocks_signing = Plugin("blocks-signing", BlocksSigning)
blocks_describing = Plugin("blocks-describing", BlocksDescribing)
generator_exit = Plugin("generator-exit", GeneratorExits)
interrupt = Plugin("interrupt", Interrupts)
silent_error = Plugin("silent-error", SilentError)
own_error = Plugin("own-error", OwnError)
audit_error = Plugin("audit-error", AuditError)
hides_its_name = Plugin("hides-its-name", HidesItsName)
hides_its_class = Plugin("hides-its-class", HidesItsClass)
hides_its_trace = Plugin("hides-its-trace", HidesItsTrace)
directory_exits = Plugin("directory-exits", DirectoryExits)
directory_blocks = Plugin("directory-blocks", DirectoryBlocks)
settings_exit = Plugin("settings-exit", settings=ExitingSettings)
settings_tell = Plugin("settings-tell", settings=TellingSettings)
settings_elsewhere = SettingsElsewhere("settings-elsewhere")
