"""What the processes of a trial do: work as an application does, and take note of every answer that they get."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from uuid import UUID

import keyclave
from keyclave import Keyclave
from keyclave.backends.deadlines import Workers
from keyclave.crypto.wrapping import generate_wrapping_key
from keyclave.errors import KeyNotFound
from keyclave.models import KeyHandle, KeyMigrationRecord, KeyStatus, MigrationStatus
from keyclave.services import resolution
from keyclave.services.results import SignResult
from keyclave_software import tickets

from tests.sweep.instance import Instance, in_child
from tests.sweep.operations import MESSAGE, Operation, prepare

__all__ = [
    "attempt",
    "begin",
    "import_what",
    "make_one_wrapping_key",
    "opened",
    "stay_in_callers_thread",
    "work_again",
]

_UNKNOWN = "unknown"
Noted = dict[str, Any]


def stay_in_callers_thread() -> None:
    """Let this process call backends in the thread of the caller, which waits for them anyway.

    strace counts the calls of each thread for itself, and so all of them are counted in one row.
    """
    workers: Any = Workers
    workers.run = lambda _, work, seconds, *, discard=None: work()


def make_one_wrapping_key() -> None:
    """Let all imports in software use one wrapping key: making one is slow, and not what is swept."""
    wrapping_key = generate_wrapping_key()
    vars(tickets)["generate_wrapping_key"] = lambda: wrapping_key


@contextmanager
def opened(instance: Instance) -> Iterator[Keyclave]:
    """Open an instance, and close it at the end."""
    os.environ.update(instance.environment)
    with keyclave.open(instance.config) as clave:
        yield clave


def begin(instance: Instance) -> None:
    """Make the keys that every operation finds, and sign with each."""
    with opened(instance) as clave:
        prepare(clave)
        for name in ("k", "old", "later"):
            _note(instance, _signature(clave.keys.sign(name, MESSAGE)))


def import_what(body: Callable[[], object], note: Path) -> None:
    """Do something in a forked process, and import what it imported: no process forked later does so again.

    Raises:
        RuntimeError: it failed.
    """

    def do() -> None:
        body()
        found = (name for name, module in sys.modules.items() if getattr(module, "__spec__", None) is not None)
        note.write_text("\n".join(name for name in found if name not in known))

    known = frozenset(sys.modules)
    if in_child(do) != 0:
        raise RuntimeError("the sweep itself does not work")
    for name in note.read_text().splitlines():
        with suppress(ModuleNotFoundError):  # some modules make others, which no file is of
            importlib.import_module(name)


def attempt(instance: Instance, operation: Operation, arm: Callable[[], object]) -> None:
    """Do an operation, with the kill armed; a recovery is what the opening does."""
    if operation.dies_after is not None:
        arm()
        with opened(instance):
            return
    with opened(instance) as clave:
        arm()
        result = operation.run(clave)
        if isinstance(result, SignResult):
            _note(instance, _signature(result))
        else:
            first: KeyHandle | KeyMigrationRecord = result[0] if isinstance(result, tuple) else result
            key = UUID(first.source_key_id) if isinstance(first, KeyMigrationRecord) else first.key_id
            _note(instance, {"operation": operation.name, "key_reference": key.hex})


def work_again(instance: Instance) -> None:
    """Recover, go on with what is to be migrated, use every key that can be used, and be refused once."""
    with opened(instance) as clave:
        if clave.recovery.open_intents():
            _recover_a_minute_later(clave)
        for record in clave.migration.list():
            if record.status is MigrationStatus.IN_PROGRESS and record.plan_id is not None:
                clave.migration.run(record.plan_id)
        for handle in clave.keys.list():
            if any(version.status is KeyStatus.ACTIVE for version in clave.keys.versions(handle.name)):
                made = clave.keys.sign(handle.name, MESSAGE)
                clave.keys.verify(handle.name, MESSAGE, made.signature)
                _note(instance, _signature(made) | {"fresh": True})
        try:
            clave.keys.sign(_UNKNOWN, MESSAGE)
        except KeyNotFound:
            _note(instance, {"operation": "SIGN", "key_reference": f"name:{_UNKNOWN}", "succeeded": False})


def _recover_a_minute_later(clave: Keyclave) -> None:
    """Recover once a backend that was asked for a key, and shows none, can make it no more."""
    vars(resolution)["datetime"] = _Later
    clave.recovery.run()
    vars(resolution)["datetime"] = datetime


class _Later(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one: it is stored
        return datetime.now(tz) + timedelta(seconds=61)


def _signature(result: SignResult) -> Noted:
    other = result.successor
    return {
        "operation": "SIGN",
        "key_reference": result.key_id.hex,
        "version": result.version,
        "audit_reference": result.audit_reference,
        "message": MESSAGE.hex(),
        "signature": result.signature.hex(),
        "successor": None if other is None else [other.version, other.signature.hex()],
    }


def _note(instance: Instance, noted: Noted) -> None:
    handle = os.open(instance.acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, json.dumps(noted).encode() + b"\n")
    os.close(handle)
