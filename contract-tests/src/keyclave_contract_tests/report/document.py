"""The report as JSON: `contract-report.json`, from which everything else is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
from keyclave.errors import ConfigurationError

from keyclave_contract_tests.report.text import bounded, line
from keyclave_contract_tests.results import SCHEMA, Report

__all__ = ["decode", "encode", "leftovers", "read"]

_INVISIBLE = re.compile(r"[^\n -~]")
"""What may have to be escaped; only within a string, since all that JSON itself consists of is ASCII."""
_LARGEST = 64 * 1024 * 1024
_REPAIR = "Use a contract-report.json as the suite wrote it, or run the suite again."


class _Version(msgspec.Struct, frozen=True):
    schema: int


def encode(report: Report) -> bytes:
    """Return the report as JSON in UTF-8: one form for each report, indented, the fields in their order.

    A text that is longer than `keyclave_contract_tests.report.text.LONGEST` is cut. Characters that cannot be seen,
    or that turn the direction of writing, are written as escapes.
    """
    return _written(bounded(report))


def leftovers(report: Report) -> bytes:
    """Return JSON, written as `encode` does, of the keys of a run that are still in the backend.

    ``left`` holds the names of keys that could not be removed, ``scheduled`` name, address and date of those that the
    backend deletes later.
    """
    return _written({"run": report.run.id, "left": report.leftovers, "scheduled": report.scheduled})


def _written(value: object) -> bytes:
    content = msgspec.json.format(msgspec.json.encode(value, order="deterministic")).decode()
    return _INVISIBLE.sub(_escaped, content).encode() + b"\n"


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def decode(content: bytes) -> Report:
    """Return the report in JSON that `encode` returned, of this version or of a later one with the same schema.

    Raises:
        ConfigurationError: it is not JSON, of another schema, or not a report.
    """
    try:
        version = msgspec.json.decode(content, type=_Version).schema
        if version == SCHEMA:
            report = msgspec.json.decode(content, type=Report)
            if report.run.started.tzinfo is not None:
                return report
            problem = "the time at `$.run.started` has no time zone"
        else:
            problem = f"its schema is {version}, and this version of the suite reads schema {SCHEMA}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem = line(error)
    raise ConfigurationError(f"the contract report cannot be read: {problem}", next_step=_REPAIR)


def read(path: Path) -> Report:
    """Return the report in a file.

    Raises:
        ConfigurationError: it cannot be read, is longer than 64 MiB, or `decode` refuses it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"the contract report {path} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise ConfigurationError(f"the contract report {path} is longer than {_LARGEST} bytes", next_step=_REPAIR)
    return decode(content)
