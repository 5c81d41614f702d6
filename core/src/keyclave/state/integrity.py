"""The MAC of a row, and the instance key that it is made with.

SQLite notices few flipped bits, and nothing notices an edit that obeys the rules. The MAC does: HMAC-SHA256
(RFC 2104) under a key that only this instance has, over the name of the table and the name and value of every
column that is not NULL. It does not notice that a row was replaced by an earlier copy of itself. For keys and their
versions `keyclave.state.newest` does; that the whole database was replaced by an earlier copy, nothing in it shows.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from pydantic import SecretBytes

from keyclave.errors import ConfigurationError, IntegrityError, InvalidArgument
from keyclave.plugin.files import create_private, private_directory, read_private

__all__ = ["KEY_SIZE", "RowMac", "Value", "create_instance_key", "read_instance_key"]

KEY_SIZE = 32
Value = int | str | bytes | None

_encode = msgspec.msgpack.Encoder().encode


class RowMac:
    """Makes and checks the MACs of rows.

    Args:
        key: the instance key.

    Attributes:
        trusted: rows whose MACs were good when they were checked last; see `keyclave.state.anchors`.
    """

    __slots__ = ("_keyed", "trusted")

    def __init__(self, key: SecretBytes) -> None:
        self._keyed = HMAC(key.get_secret_value(), SHA256())
        self.trusted: Any = None

    def tag(self, table: str, row: Mapping[str, Value]) -> bytes:
        """Return the MAC of a row, 32 bytes.

        Args:
            table: the name of the table.
            row: every column but the MAC itself, in the order of their names. NULLs are left out, so that a
                later revision can add a column.

        Raises:
            InvalidArgument: a text is not valid Unicode.
        """
        if None in row.values():
            row = {name: value for name, value in row.items() if value is not None}
        try:
            message = _encode((table, row))
        except UnicodeEncodeError:
            message = None
        if message is None:
            raise InvalidArgument(f"a text for table {table} is not valid Unicode")
        # To copy the keyed state takes half the time of keying it anew.
        mac = self._keyed.copy()
        mac.update(message)
        return mac.finalize()

    def check(self, table: str, tag: bytes, mac: object) -> None:
        """Return if a stored MAC is the one that ``tag`` made of the row.

        Raises:
            IntegrityError: it is not.
        """
        if not isinstance(mac, bytes) or not hmac.compare_digest(tag, mac):
            raise IntegrityError(f"a row of table {table} was changed outside Keyclave")


def create_instance_key(path: Path) -> SecretBytes:
    """Return the instance key of a new database, made now unless another process was faster.

    Raises:
        ConfigurationError: the file or its directory is not private, or cannot be written.
    """
    private_directory(path.parent)
    try:
        create_private(path, secrets.token_bytes(KEY_SIZE))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"the instance key {path} cannot be written: {error.strerror}") from None
    return read_instance_key(path)


def read_instance_key(path: Path) -> SecretBytes:
    """Return the instance key of a database that has one. It is never made again: the rows could not be checked.

    Raises:
        IntegrityError: the file is missing, or is not a key.
        ConfigurationError: the file is not private, or cannot be read.
    """
    try:
        key = SecretBytes(read_private(path, limit=KEY_SIZE))
    except FileNotFoundError:
        raise IntegrityError(
            f"the instance key {path} of this database is missing",
            next_step="Copy it from another machine that uses the database, or from the backup of the database.",
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the instance key {path} cannot be read: {error.strerror}") from None
    if len(key.get_secret_value()) != KEY_SIZE:
        raise IntegrityError(f"{path} is not an instance key of {KEY_SIZE} bytes")
    return key
