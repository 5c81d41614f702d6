"""Environments, backends, their health and migrations inside one transaction: models of the domain, kept whole.

Fields that the database guards, and bytes, are columns; the others are together in one, as JSON.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, Table
from sqlalchemy.sql import Select

from keyclave.models.backend import BackendHealth, CryptographicBackend
from keyclave.models.base import Model
from keyclave.models.environment import EnvironmentConfiguration
from keyclave.models.levels import EnvironmentType
from keyclave.models.migration import KeyMigrationRecord
from keyclave.models.migration_plan import MigrationApproval, MigrationPlan
from keyclave.state.codec import from_microseconds, to_microseconds
from keyclave.state.integrity import Value
from keyclave.state.schema import (
    BACKEND_HEALTH,
    BACKENDS,
    ENVIRONMENTS,
    MIGRATION_APPROVALS,
    MIGRATION_PLANS,
    MIGRATIONS,
)
from keyclave.state.session import Row, Session
from keyclave.state.statements import SealedTable

__all__ = ["Approvals", "Backends", "Environments", "Health", "Migrations", "Plans"]

M = TypeVar("M", bound=Model)


class _ModelTable(Generic[M]):
    """A table that keeps models of one type by one column, and finds those of one value in another column."""

    def __init__(self, table: Table, model: type[M], key: str, *groups: str) -> None:
        self._key = key
        self._model = model
        self._sealed = SealedTable(table, key)
        self._one: Select[Any] = self._sealed.where(key)
        self._all: Select[Any] = self._sealed.selection.order_by(table.c[key])
        self._groups: dict[str, Select[Any]] = {
            column: self._sealed.where(column).order_by(table.c[key]) for column in groups
        }
        self._columns = tuple(column for column in self._sealed.columns if column != "details")
        numbers = (column for column in self._columns if isinstance(table.c[column].type, BigInteger))
        self._times = frozenset(column for column in numbers if not _is_number(model, column))

    def put(self, session: Session, model: M) -> None:
        row = self._to_row(model)
        key = {f"the_{self._key}": row[self._key]}
        if session.row(self._sealed, self._one, **key) is None:
            session.insert(self._sealed, row)
        else:
            session.update(self._sealed, row)

    def get(self, session: Session, key: str) -> M | None:
        row = session.row(self._sealed, self._one, **{f"the_{self._key}": key})
        return None if row is None else self._to_model(row)

    def all(self, session: Session) -> tuple[M, ...]:
        return tuple(self._to_model(row) for row in session.rows(self._sealed, self._all))

    def group(self, session: Session, column: str, value: str) -> tuple[M, ...]:
        rows = session.rows(self._sealed, self._groups[column], **{f"the_{column}": value})
        return tuple(self._to_model(row) for row in rows)

    def _to_row(self, model: M) -> Row:
        row = {column: _to_value(getattr(model, column)) for column in self._columns}
        details = model.model_dump(mode="json", exclude=set(self._columns))
        return {**row, "details": json.dumps(details, sort_keys=True)}

    def _to_model(self, row: Row) -> M:
        fields: dict[str, Any] = {**json.loads(str(row["details"])), **row}
        del fields["details"]
        for column in self._times:
            value = row[column]
            fields[column] = from_microseconds(value) if isinstance(value, int) else None
        return self._model.model_validate(fields)


def _is_number(model: type[Model], field: str) -> bool:
    """Return whether a field is the number itself, and no time."""
    return model.model_fields[field].annotation is int


def _to_value(value: Any) -> Value:
    if isinstance(value, datetime):
        return to_microseconds(value)
    if isinstance(value, UUID):
        return value.hex
    plain: Value = value.value if isinstance(value, Enum) else value
    return plain


_ENVIRONMENTS = _ModelTable(ENVIRONMENTS, EnvironmentConfiguration, "environment_type")
_BACKENDS = _ModelTable(BACKENDS, CryptographicBackend, "backend_id")
_HEALTH = _ModelTable(BACKEND_HEALTH, BackendHealth, "backend_id")
_MIGRATIONS = _ModelTable(MIGRATIONS, KeyMigrationRecord, "migration_id", "plan_id", "source_key_id")
_PLANS = _ModelTable(MIGRATION_PLANS, MigrationPlan, "plan_id")
_APPROVALS = _ModelTable(MIGRATION_APPROVALS, MigrationApproval, "approval_id", "plan_id")


class Environments:
    """The configured environments."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, environment: EnvironmentConfiguration) -> None:
        """Add or change an environment; who created it and when never changes."""
        _ENVIRONMENTS.put(self._session, environment)

    def get(self, environment_type: EnvironmentType) -> EnvironmentConfiguration | None:
        """Return the environment, or ``None``."""
        return _ENVIRONMENTS.get(self._session, environment_type.value)


class Backends:
    """The backend instances that were seen."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, backend: CryptographicBackend) -> None:
        """Add or change a backend; its plugin never changes."""
        _BACKENDS.put(self._session, backend)

    def get(self, backend_id: str) -> CryptographicBackend | None:
        """Return the backend, or ``None``."""
        return _BACKENDS.get(self._session, backend_id)

    def all(self) -> tuple[CryptographicBackend, ...]:
        """Return all of them, by id."""
        return _BACKENDS.all(self._session)


class Health:
    """How the backend instances are."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, health: BackendHealth) -> None:
        """Add or change how a backend is."""
        _HEALTH.put(self._session, health)

    def get(self, backend_id: str) -> BackendHealth | None:
        """Return how the backend is; ``None`` if it was never checked."""
        return _HEALTH.get(self._session, backend_id)


class Migrations:
    """The migrations of keys between backends."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, migration: KeyMigrationRecord) -> None:
        """Add or change a migration; what moves from where to where never changes."""
        _MIGRATIONS.put(self._session, migration)

    def get(self, migration_id: UUID) -> KeyMigrationRecord | None:
        """Return the migration, or ``None``."""
        return _MIGRATIONS.get(self._session, migration_id.hex)

    def all(self) -> tuple[KeyMigrationRecord, ...]:
        """Return all of them, by id."""
        return _MIGRATIONS.all(self._session)

    def of_plan(self, plan_id: UUID) -> tuple[KeyMigrationRecord, ...]:
        """Return those of a plan, by id."""
        return _MIGRATIONS.group(self._session, "plan_id", plan_id.hex)

    def of_key(self, key_id: UUID) -> tuple[KeyMigrationRecord, ...]:
        """Return those of the versions of a key, by id."""
        return _MIGRATIONS.group(self._session, "source_key_id", str(key_id))


class Plans:
    """The plans of migrations."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, plan: MigrationPlan) -> None:
        """Add a plan; it never changes."""
        _PLANS.put(self._session, plan)

    def get(self, plan_id: UUID) -> MigrationPlan | None:
        """Return the plan, or ``None``."""
        return _PLANS.get(self._session, plan_id.hex)

    def all(self) -> tuple[MigrationPlan, ...]:
        """Return all of them, by id."""
        return _PLANS.all(self._session)


class Approvals:
    """The approvals of plans."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, approval: MigrationApproval) -> None:
        """Add an approval, or note that it was used; by whom and of what it is never changes."""
        _APPROVALS.put(self._session, approval)

    def of_plan(self, plan_id: UUID) -> tuple[MigrationApproval, ...]:
        """Return those of a plan, by id."""
        return _APPROVALS.group(self._session, "plan_id", plan_id.hex)
