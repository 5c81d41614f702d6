"""Keys and their versions inside one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, literal_column

from keyclave.errors import IntegrityError, InvalidArgument, KeyAlreadyExists, KeyNotFound
from keyclave.models.key import KeyStatus
from keyclave.models.levels import SecurityLevel
from keyclave.state.anchors import Anchors
from keyclave.state.codec import Codec, to_microseconds
from keyclave.state.newest import check_every_row
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.schema import KEY_VERSIONS, KEYS
from keyclave.state.session import Row, Session
from keyclave.state.statements import SealedTable

__all__ = ["Keys"]

_KEYS = SealedTable(KEYS, "key_id")
_BY_ID = _KEYS.where("key_id")
_BY_NAME = _KEYS.where("name")
_LIMIT = bindparam("limit", type_=BigInteger)
_FIRST_PAGE = _KEYS.selection.order_by(KEYS.c.name).limit(_LIMIT).offset(literal_column("0"))
_PAGE = _FIRST_PAGE.where(KEYS.c.name > bindparam("after"))

_VERSIONS = SealedTable(KEY_VERSIONS, "key_id", "version")
_VERSION = _VERSIONS.where("key_id", "version")
_ALL_VERSIONS = _VERSIONS.where("key_id").order_by(KEY_VERSIONS.c.version)

_NOW = bindparam("now", type_=BigInteger)
_DUE = _VERSIONS.selection.where(
    KEY_VERSIONS.c.status.in_((bindparam("active"), bindparam("standby"))), KEY_VERSIONS.c.next_rotation_at <= _NOW
).order_by(KEY_VERSIONS.c.next_rotation_at)
_STANDBYS = _VERSIONS.selection.where(KEY_VERSIONS.c.status == bindparam("status")).order_by(KEY_VERSIONS.c.key_id)
_EXPIRED = _VERSIONS.selection.where(
    KEY_VERSIONS.c.status == bindparam("status"),
    KEY_VERSIONS.c.destroyed_at.is_(None),
    KEY_VERSIONS.c.not_destroy_before <= _NOW,
).order_by(KEY_VERSIONS.c.not_destroy_before)

_KEY_CODEC = Codec(StoredKey)
_VERSION_CODEC = Codec(StoredVersion)

_CHANGEABLE = frozenset(
    {
        "status",
        "last_rotation_at",
        "next_rotation_at",
        "not_destroy_before",
        "destroyed_at",
        "validation_ends_at",
        "backend_id",
        "backend_type",
        "label",
        "provider_uri",
        "exportable",
        "hsm_backed",
    }
)
_USES_NEW = frozenset({"SIGN", "ENCRYPT"})
_USES_OLD = frozenset({"VERIFY", "DECRYPT"})


class Keys:
    """Keys and versions. Every write raises the epoch."""

    __slots__ = ("_anchors", "_session")

    def __init__(self, session: Session, anchors: Anchors) -> None:
        self._session = session
        self._anchors = anchors

    def add(self, key: StoredKey) -> None:
        """Add a key.

        Raises:
            KeyAlreadyExists: its name is taken.
        """
        row = _KEY_CODEC.to_row(key)
        if self._session.row(_KEYS, _BY_NAME, the_name=key.name) is not None:
            raise KeyAlreadyExists("a key of this name exists", key_name=key.name)
        self._session.insert(_KEYS, {**row, "epoch": self._anchors.raise_epoch()})

    def add_version(self, version: StoredVersion) -> None:
        """Add a version: PENDING, ACTIVE or STANDBY, one more than the newest. The database refuses any other."""
        row = _VERSION_CODEC.to_row(version)
        self._session.insert(_VERSIONS, {**row, "epoch": self._anchors.raise_epoch()})

    def by_name(self, name: str) -> StoredKey:
        """Return the key of that name; raise ``KeyNotFound`` if there is none."""
        row = self._session.row(_KEYS, _BY_NAME, the_name=name)
        if row is None:
            raise KeyNotFound("there is no such key", key_name=name)
        return _KEY_CODEC.to_record(row)

    def by_id(self, key_id: UUID) -> StoredKey:
        """Return the key of that id; raise ``KeyNotFound`` if there is none."""
        return _KEY_CODEC.to_record(self._read_key(key_id))

    def page(self, after: str | None, limit: int) -> tuple[StoredKey, ...]:
        """Return up to ``limit`` keys by name, in the order of their bytes, from the first one behind ``after``."""
        if after is None:
            rows = self._session.rows(_KEYS, _FIRST_PAGE, limit=limit)
        else:
            rows = self._session.rows(_KEYS, _PAGE, after=after, limit=limit)
        return tuple(_KEY_CODEC.to_record(row) for row in rows)

    def versions(self, key_id: UUID) -> tuple[StoredVersion, ...]:
        """Return the versions of a key, the oldest first; none if there is no such key.

        Raises:
            IntegrityError: one is missing, or is not what Keyclave wrote.
        """
        rows = self._session.rows(_VERSIONS, _ALL_VERSIONS, the_key_id=key_id.hex)
        if [row["version"] for row in rows] != [*range(1, len(rows) + 1)]:
            raise IntegrityError(f"a version of key {key_id} is missing")
        return tuple(_VERSION_CODEC.to_record(row) for row in rows)

    def due(self, now: datetime) -> tuple[StoredVersion, ...]:
        """Return the active and standby versions whose next rotation is due, the longest overdue first."""
        statuses = {"active": KeyStatus.ACTIVE.value, "standby": KeyStatus.STANDBY.value}
        rows = self._session.rows(_VERSIONS, _DUE, **statuses, now=to_microseconds(now))
        return tuple(_VERSION_CODEC.to_record(row) for row in rows)

    def standbys(self) -> tuple[StoredVersion, ...]:
        """Return the standby versions of all keys, by the ids of their keys."""
        rows = self._session.rows(_VERSIONS, _STANDBYS, status=KeyStatus.STANDBY.value)
        return tuple(_VERSION_CODEC.to_record(row) for row in rows)

    def expired(self, now: datetime) -> tuple[StoredVersion, ...]:
        """Return the deprecated versions that are there, and whose retention has ended, the oldest end first."""
        rows = self._session.rows(_VERSIONS, _EXPIRED, status=KeyStatus.DEPRECATED.value, now=to_microseconds(now))
        return tuple(_VERSION_CODEC.to_record(row) for row in rows)

    def version(self, key_id: UUID, version: int) -> StoredVersion:
        """Return one version; raise ``KeyNotFound`` if it is not there."""
        return _VERSION_CODEC.to_record(self._read_version(key_id, version))

    def update_version(self, key_id: UUID, version: int, **changes: Any) -> StoredVersion:
        """Change a version, and return what it is now. The database refuses what a version must not become.

        Args:
            key_id: the key.
            version: which one.
            changes: fields of `StoredVersion`: ``status``, times but ``created_at``, and, together with a new
                ``backend_id``, where and how it is kept.

        Raises:
            KeyNotFound: it is not there.
            InvalidArgument: a field that never changes.
        """
        if wrong := changes.keys() - _CHANGEABLE:
            raise InvalidArgument(f"{', '.join(sorted(wrong))} of a version cannot be changed")
        row = self._read_version(key_id, version)
        replaced: Any = row["epoch"]
        row.update(_VERSION_CODEC.columns(changes))
        row["epoch"] = self._anchors.raise_epoch(replaced)
        self._session.update(_VERSIONS, row)
        return _VERSION_CODEC.to_record(row)

    def require_level(self, key_id: UUID, level: SecurityLevel) -> None:
        """Let a key require this level from now on. The database allows it in a migration only.

        Raises:
            KeyNotFound: it is not there.
        """
        row = self._read_key(key_id)
        replaced: Any = row["epoch"]
        row.update(_KEY_CODEC.columns({"required_security_level": level}))
        row["epoch"] = self._anchors.raise_epoch(replaced)
        self._session.update(_KEYS, row)

    def usable(self, key_id: UUID, version: int, operation_type: str) -> bool:
        """Return whether a version may be used for an operation now.

        SIGN and ENCRYPT need the ACTIVE version, SIGN also takes the STANDBY and the one under validation; VERIFY and
        DECRYPT one that is not REVOKED, and DECRYPT one that is not destroyed. A missing version and any other
        operation: no.
        """
        row = self._session.row(_VERSIONS, _VERSION, the_key_id=key_id.hex, the_version=version)
        if row is None:
            return False
        if operation_type in _USES_NEW:
            signs = row["validation_ends_at"] is not None or row["status"] == KeyStatus.STANDBY
            return row["status"] == KeyStatus.ACTIVE or (operation_type == "SIGN" and signs)
        if operation_type in _USES_OLD:
            destroyed = operation_type == "DECRYPT" and row["destroyed_at"] is not None
            return row["status"] != KeyStatus.REVOKED and not destroyed
        return False

    def prove(self) -> None:
        """Return if every key and version is there, and is what Keyclave wrote last. It reads all of them.

        Raises:
            IntegrityError: one is not.
        """
        check_every_row(self._session, self._anchors, _KEYS, _VERSIONS)

    def _read_key(self, key_id: UUID) -> Row:
        row = self._session.row(_KEYS, _BY_ID, the_key_id=key_id.hex)
        if row is None:
            raise KeyNotFound(f"there is no key {key_id}")
        return row

    def _read_version(self, key_id: UUID, version: int) -> Row:
        row = self._session.row(_VERSIONS, _VERSION, the_key_id=key_id.hex, the_version=version)
        if row is None:
            raise KeyNotFound(
                f"there is no version {version} of key {key_id}",
                next_step="Run `keyclave keys show NAME` to see the versions of a key.",
            )
        return row
