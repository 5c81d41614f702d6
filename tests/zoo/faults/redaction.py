"""Backends that let out what must stay inside."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import CapabilityUnsupported, DecryptionFailed
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    Encrypted,
    ImportTicket,
    KeyReference,
    Signed,
    WrappedKey,
    hookimpl,
)
from keyclave_software.keystore import key_name

from tests.zoo.fault import fault, secret_fault
from tests.zoo.software import SECRET, ZooSoftware

_log = logging.getLogger("acme.hsm")


class _Unwrapping(ZooSoftware):
    """A right backend whose subclasses see an imported key."""

    def saw(self, secret: bytes) -> None:
        raise NotImplementedError

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        _, private = self._tickets._open.get(ticket.ticket_id, (None, None))
        if private is not None:
            self.saw(unwrap_key(wrapped.blob, private, wrapped.method).get_secret_value())
        return super().import_key(ticket, wrapped)


@fault({115: "key material is in a log record, in base64"})
class ImportedKeysAreLogged(_Unwrapping):
    """Logs what it imports, for who looks for errors."""

    def saw(self, secret: bytes) -> None:
        _log.debug("importing %s", base64.b64encode(secret).decode())


@fault({115: "key material is in a log record, escaped"})
class ExtrasHoldTheKey(_Unwrapping):
    """Hands the key to the log as an extra that most formats leave out."""

    def saw(self, secret: bytes) -> None:
        _log.info("importing a key", extra={"blob": secret})


@fault({115: "key material is in a warning, in hexadecimal"})
class WarningsQuoteTheKey(_Unwrapping):
    """Warns of a format with the key in the warning."""

    def saw(self, secret: bytes) -> None:
        warnings.warn(f"old format: {secret.hex(':')}", stacklevel=2)


@fault({115: "key material is in a warning, as a decimal number"})
class WarningsCountWithTheKey(_Unwrapping):
    """Warns of what it imports, read as one number, the least significant byte first."""

    def saw(self, secret: bytes) -> None:
        warnings.warn(f"import {int.from_bytes(secret, 'little')}", stacklevel=2)


@fault({115: "key material is in a warning, escaped"})
class WarningsCarryTheKey(_Unwrapping):
    """Hangs what it imports on a warning whose text does not show it."""

    def saw(self, secret: bytes) -> None:
        warning = UserWarning("old format")
        warning.add_note(repr(secret))
        warnings.warn(warning, stacklevel=2)


@fault({115: "key material is in what is told to a program, in base64"})
class ProgramsAreToldTheKey(_Unwrapping):
    """Hands the key to a program on its command line."""

    def saw(self, secret: bytes) -> None:
        subprocess.run(["true", base64.b64encode(secret).decode()], check=False)


@fault({115: "key material is in what is told to a program, as a decimal number"})
class ProgramsInheritTheKey(_Unwrapping):
    """Hands the key to a program in an environment of its own, as a number."""

    def saw(self, secret: bytes) -> None:
        program = shutil.which("true") or "true"
        number = str(int.from_bytes(secret, "big"))
        os.waitpid(os.posix_spawn(program, ["true"], {"ACME_KEY": number}), 0)


@fault({115: "key material is in the environment, in hexadecimal"})
class KeysPassThroughTheEnvironment(_Unwrapping):
    """Hands the key to a native library in the environment, and takes it out at once."""

    def saw(self, secret: bytes) -> None:
        os.environ["ACME_KEY"] = secret.hex()
        del os.environ["ACME_KEY"]


@fault({115: "key material is in what was printed"})
class KeysArePrintedPastPython(_Unwrapping):
    """Prints what it imports as a native library does, without the streams of Python."""

    def saw(self, secret: bytes) -> None:
        os.write(2, base64.b64encode(secret) + b"\n")


@fault({115: "key material is in a log record, as text"})
class KeysAreLoggedAsText(_Unwrapping):
    """Takes a key for text of one byte a letter, as it is in the debug output of older devices."""

    def saw(self, secret: bytes) -> None:
        _log.debug("importing %s", secret.decode("latin-1"))


@fault({115: "key material is in a log record, escaped as in JSON"})
class KeysAreLoggedInJson(_Unwrapping):
    """Logs what it imports in records of JSON."""

    def saw(self, secret: bytes) -> None:
        _log.debug(json.dumps({"imported": secret.decode("latin-1")}))


@fault({115: "key material is in the attributes of the backend"})
class KeysAreInAttributes(_Unwrapping):
    """Keeps the last imported key as bytes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.last = b""

    def saw(self, secret: bytes) -> None:
        self.last = secret


@fault({115: "key material is in the environment, as a list of numbers|key material is in the environment"})
class KeysAreInTheEnvironment(_Unwrapping):
    """Hands the key to a program that it starts in the environment, and leaves it there."""

    def saw(self, secret: bytes) -> None:
        os.environ["ACME_KEY"] = secret.hex().upper()

    def close(self) -> None:
        os.environ.pop("ACME_KEY", None)
        super().close()


@fault({115: "key material is in an error, as a list of numbers"})
class ErrorsHoldTheKey(ZooSoftware):
    """Dumps the whole key where it cannot encrypt with it."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        try:
            return super().encrypt(key, plaintext, aad)
        except CapabilityUnsupported:
            secret = self._keystore.read(key_name(str(key.label))).secret.get_secret_value()
        raise CapabilityUnsupported(f"this key does not encrypt: {list(secret)}")


@fault({115: "a plaintext is in what was printed, as it is|a plaintext is in what was printed, escaped"})
class PlaintextsArePrinted(ZooSoftware):
    """Prints what it encrypts."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        sys.stdout.write(f"encrypting {plaintext!r}\n")
        return super().encrypt(key, plaintext, aad)


@fault({115: "a plaintext is in an error, in hexadecimal"})
class DecryptionErrorsHoldThePlaintext(ZooSoftware):
    """Names the associated data that does not fit, which callers may hold for secret."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        try:
            return super().decrypt(key, ciphertext, aad)
        except DecryptionFailed:
            raise DecryptionFailed(f"the associated data {aad.hex()} does not fit") from None


@secret_fault({116: "a secret of the settings is in a log record"})
class LoginsAreLogged(ZooSoftware):
    """Logs how it logs in."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        _log.debug("C_Login(%r)", SECRET)


@secret_fault({116: "a secret of the settings is in the attributes of the backend"})
class SecretsAreAttributes(ZooSoftware):
    """Keeps the secret to log in again."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pin = SECRET.decode()


@secret_fault({116: "a secret of the settings is in an error, in base64"})
class ErrorsHoldTheLogin(ZooSoftware):
    """Names the request that was refused, with its header of authentication."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        try:
            return super().sign(key, data, scheme)
        except CapabilityUnsupported:
            header = base64.b64encode(b"user:" + SECRET).decode()
        raise CapabilityUnsupported(f"401 for Authorization: Basic {header}")


@fault({117: "hold a key in the clear"})
class ImportsAreKeptAsTheyAre(_Unwrapping):
    """Keeps an imported key in a file until it is stored, and for ever."""

    def saw(self, secret: bytes) -> None:
        (self._directory / "import.der").write_bytes(secret)


@fault({117: "left 3 files of them"})
class DestroyKeepsACopy(ZooSoftware):
    """Keeps a copy of what it destroys."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        path: Path = self._keystore.path(key_name(str(key.label)))
        if path.exists():
            path.with_suffix(".old").write_bytes(path.read_bytes())
        return super().destroy_key(key)


@fault({117: "left [123] files of them"})
class IndexOfDestroyedKeys(ZooSoftware):
    """Makes a file with the public key of each key, and forgets it when the key is destroyed."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        (self._directory / f"{key_name(str(request.label))}.pub").write_bytes(made.public_key or b"")
        return made
