"""``keystore.json``: what the master key of a keystore comes from, and how to tell the right one."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Annotated, Literal, Self

import msgspec
from keyclave.errors import IntegrityError
from msgspec import Meta
from msgspec.structs import replace

from keyclave_software.limits import ITERATIONS, LANES, MEMORY_MIB
from keyclave_software.master_key import MasterKey

__all__ = ["FILE_NAME", "Argon2Parameters", "Protection", "SourceName"]

SourceName = Literal["passphrase_file", "key_file"]
"""What the master key comes from: the name of the setting."""

FILE_NAME = "keystore.json"
"""The file of a keystore's protection."""

_SALT_BYTES = 32
_PURPOSE = b"keyclave software keystore\0"
_Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Argon2Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one guess of the passphrase costs (RFC 9106). Values out of bounds are never used, whoever wrote them."""

    memory_mib: Annotated[int, Meta(ge=MEMORY_MIB.start, le=MEMORY_MIB[-1])]
    iterations: Annotated[int, Meta(ge=ITERATIONS.start, le=ITERATIONS[-1])]
    lanes: Annotated[int, Meta(ge=LANES.start, le=LANES[-1])]


class Protection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the master key is made, and a commitment to it.

    Attributes:
        format: the version of this format.
        source: what the master key comes from.
        argon2id: how, for a passphrase; ``None`` for a key file.
        salt: random; of Argon2id and of the commitment.
        commitment: derived from the master key and from everything above; tells a wrong one from the right one.
        checksum: SHA-256 of everything above; tells a damaged file from a wrong passphrase.
    """

    format: Literal[1] = 1
    source: SourceName
    argon2id: Argon2Parameters | None
    salt: _Digest
    commitment: _Digest = bytes(32)
    checksum: _Digest = bytes(32)

    @classmethod
    def new(cls, source: SourceName, argon2id: Argon2Parameters | None) -> Self:
        """Return a protection with a fresh salt, not yet committed to a master key."""
        return cls(source=source, argon2id=argon2id, salt=os.urandom(_SALT_BYTES))

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Return the protection in a file's content.

        Raises:
            IntegrityError: it is damaged, of an unknown format, or its parameters are out of bounds.
        """
        try:
            protection = msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError:
            protection = None
        if protection is None or protection.encode() != content or not protection.is_consistent():
            raise IntegrityError(f"{FILE_NAME} is not what was written, or its parameters are out of bounds")
        return protection

    def encode(self) -> bytes:
        """Return the one encoding that `decode` accepts."""
        return msgspec.json.encode(self)

    def committed_to(self, master: MasterKey) -> Self:
        """Return the protection, complete with the commitment to this master key."""
        committed = replace(self, commitment=self._commitment(master))
        return replace(committed, checksum=committed._checksum())  # noqa: SLF001  of the same class

    def is_committed_to(self, master: MasterKey) -> bool:
        """Return whether this is the master key of the keystore."""
        return hmac.compare_digest(self._commitment(master), self.commitment)

    def is_consistent(self) -> bool:
        """Return whether the checksum fits, and the parameters fit the source."""
        return self.checksum == self._checksum() and (self.source == "passphrase_file") == (self.argon2id is not None)

    def _commitment(self, master: MasterKey) -> bytes:
        stated = replace(self, commitment=bytes(32), checksum=bytes(32)).encode()
        return master.derive(self.salt, _PURPOSE + stated, 32).get_secret_value()

    def _checksum(self) -> bytes:
        return hashlib.sha256(replace(self, checksum=bytes(32)).encode()).digest()
