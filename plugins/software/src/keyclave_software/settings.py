"""The settings of one software backend, those below ``[backends.<id>]``. Secrets are named by file only."""

from __future__ import annotations

from typing import Self

from keyclave.errors import InvalidArgument
from keyclave.plugin.paths import PathFromHome
from pydantic import BaseModel, ConfigDict, Field, model_validator

from keyclave_software.limits import ITERATIONS, LANES, MEMORY_MIB

__all__ = ["Argon2Settings", "SoftwareSettings"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Argon2Settings(_Section):
    """What one guess of the passphrase costs. Read when the keystore is created; it then keeps them itself."""

    memory_mib: int = Field(default=MEMORY_MIB.start, ge=MEMORY_MIB.start, le=MEMORY_MIB[-1])
    """Memory in MiB."""
    iterations: int = Field(default=ITERATIONS.start, ge=ITERATIONS.start, le=ITERATIONS[-1])
    """Passes over the memory."""
    lanes: int = Field(default=4, ge=LANES.start, le=LANES[-1])
    """Threads that work at once."""


class SoftwareSettings(_Section):
    """Where the keystore is, and what its master key comes from."""

    keystore: PathFromHome | None = None
    """Directory of the encrypted keys, created with mode 0700. Unset: the backend's directory below
    `[state] directory`."""
    passphrase_file: PathFromHome | None = None
    """File with a passphrase of at least 8 bytes, mode 0600. One line break at its end is ignored."""
    key_file: PathFromHome | None = None
    """File with the master key, 32 random bytes, mode 0600. Unset, and no passphrase either: `master.key` in the
    backend's directory, created when it is missing."""
    argon2: Argon2Settings | None = None
    """Table `argon2`: how the master key is derived from the passphrase."""

    @model_validator(mode="after")
    def _check_protection(self) -> Self:
        if self.passphrase_file is not None and self.key_file is not None:
            raise InvalidArgument("passphrase_file and key_file exclude each other")
        if self.argon2 is not None and self.passphrase_file is None:
            raise InvalidArgument("argon2 needs passphrase_file")
        return self
