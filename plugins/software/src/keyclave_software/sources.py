"""What a master key comes from: a passphrase file or a key file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from keyclave.errors import ConfigurationError
from pydantic import SecretBytes

from keyclave_software.limits import MASTER_KEY_BYTES, PASSPHRASE_BYTES
from keyclave_software.master_key import MasterKey
from keyclave_software.protection import Argon2Parameters, Protection, SourceName
from keyclave_software.settings import Argon2Settings, SoftwareSettings
from keyclave_software.storage import load, store_new

__all__ = ["KeyFile", "MasterKeySource", "PassphraseFile", "source_of"]

_NOTHING_MADE = "Name a file that exists and that only this user may read."


class MasterKeySource(Protocol):
    """What a master key comes from.

    Attributes:
        name: the setting that names it.
    """

    name: SourceName

    def prepare(self) -> None:
        """Make what is missing and may be made, for a new keystore."""

    def new_protection(self) -> Protection:
        """Return the protection of a new keystore, not yet committed."""

    def master_key(self, protection: Protection) -> MasterKey:
        """Return the master key, right or wrong.

        Raises:
            ConfigurationError: its file is missing, unsafe or of a wrong length.
        """


def source_of(settings: SoftwareSettings, default_key_file: Path) -> MasterKeySource:
    """Return the source that the settings name, else the default key file."""
    if settings.passphrase_file is not None:
        return PassphraseFile(settings.passphrase_file, settings.argon2 or Argon2Settings())
    if settings.key_file is not None:
        return KeyFile(settings.key_file, may_create=False)
    return KeyFile(default_key_file, may_create=True)


class KeyFile:
    """A file that holds the master key itself."""

    name: SourceName = "key_file"

    def __init__(self, path: Path, *, may_create: bool) -> None:
        self._path = path
        self._may_create = may_create

    def prepare(self) -> None:
        """Create the file if it is missing and ours to create."""
        if self._may_create:
            store_new(self._path, SecretBytes(os.urandom(MASTER_KEY_BYTES)))

    def new_protection(self) -> Protection:
        """Return a protection without Argon2id: the key is random."""
        return Protection.new(self.name, None)

    def master_key(self, protection: Protection) -> MasterKey:
        """Return what the file holds."""
        key = _read(self._path, self.name, MASTER_KEY_BYTES)
        if len(key) != MASTER_KEY_BYTES:
            raise ConfigurationError(f"{self._path} does not hold {MASTER_KEY_BYTES} bytes")
        return MasterKey(key)


class PassphraseFile:
    """A file that holds a passphrase, from which Argon2id makes the master key."""

    name: SourceName = "passphrase_file"

    def __init__(self, path: Path, costs: Argon2Settings) -> None:
        self._path = path
        self._costs = costs

    def prepare(self) -> None:
        """Make nothing: a passphrase comes from its owner."""

    def new_protection(self) -> Protection:
        """Return a protection with the costs of the settings."""
        return Protection.new(self.name, Argon2Parameters(**self._costs.model_dump()))

    def master_key(self, protection: Protection) -> MasterKey:
        """Return what Argon2id makes of the passphrase, with the costs that the keystore was made with."""
        passphrase = _without_line_break(_read(self._path, self.name, PASSPHRASE_BYTES[-1] + len(b"\r\n")))
        if len(passphrase) not in PASSPHRASE_BYTES:
            raise ConfigurationError(
                f"the passphrase in {self._path} is shorter than {PASSPHRASE_BYTES.start} bytes"
                f" or longer than {PASSPHRASE_BYTES[-1]}"
            )
        return MasterKey(_argon2id(passphrase, protection))


def _read(path: Path, setting: str, limit: int) -> SecretBytes:
    content = load(path, limit)
    if content is None:
        raise ConfigurationError(f"{setting} {path} does not exist", next_step=_NOTHING_MADE)
    return content


def _without_line_break(content: SecretBytes) -> SecretBytes:
    return SecretBytes(content.get_secret_value().removesuffix(b"\n").removesuffix(b"\r"))


def _argon2id(passphrase: SecretBytes, protection: Protection) -> SecretBytes:
    costs = protection.argon2id
    if costs is None:
        raise ConfigurationError("the keystore has no parameters for a passphrase")
    try:
        return SecretBytes(
            Argon2id(
                salt=protection.salt,
                length=MASTER_KEY_BYTES,
                iterations=costs.iterations,
                lanes=costs.lanes,
                memory_cost=costs.memory_mib * 1024,
            ).derive(passphrase.get_secret_value())
        )
    except (MemoryError, UnsupportedAlgorithm) as error:
        reason = type(error).__name__
    raise ConfigurationError(
        f"Argon2id with {costs.memory_mib} MiB of memory cannot be computed here: {reason}",
        next_step="Give the process that much memory, or set key_file instead of passphrase_file.",
    )
