"""Known failures: a TOML file in the repository of the backend that says what fails, how, why, and until when.

    [[known]]
    id = "26-never-signs-wrongly"
    subject = "RSA_2048/RSA_PSS_SHA256"       # optional: every subject of the check
    raises = "does not verify"                # a regular expression that the reason must match
    reason = "firmware 7.2 loses a session now and then"
    expires = 2027-03-01                      # at most 180 days from today

The ledger is strict: an entry that has expired, that names no check, or whose check passes is an error, and no entry
excuses a security check.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import msgspec
from keyclave.errors import ConfigurationError
from keyclave.plugin import Record
from msgspec import structs

from keyclave_contract_tests.catalogue import catalogue
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.vocabulary import State

__all__ = ["Entry", "applied", "read_ledger"]

_LONGEST = timedelta(days=180)


class Entry(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known failure; the module says what its fields are."""

    id: str
    raises: str
    reason: str
    expires: date
    subject: str | None = None


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    known: tuple[Entry, ...] = ()


def read_ledger(path: Path, today: date) -> tuple[Entry, ...]:
    """Return the entries of a ledger.

    Raises:
        ConfigurationError: the file cannot be read, or an entry cannot stand.
    """
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).known
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"the ledger {path} cannot be used: {error}") from None
    for entry in entries:
        problem = _problem(entry, today)
        if problem is not None:
            raise ConfigurationError(f"the ledger {path} cannot be used: {entry.id}: {problem}")
    return entries


def _problem(entry: Entry, today: date) -> str | None:
    check = next((c for c in catalogue() if c.id == entry.id), None)
    if check is None:
        return "there is no such check"
    if check.security:
        return "a security check is never excused"
    if entry.expires < today:
        return f"it expired on {entry.expires}"
    if entry.expires - today > _LONGEST:
        return f"it expires in more than {_LONGEST.days} days"
    try:
        re.compile(entry.raises)
    except re.error:
        return "raises is not a regular expression"
    return None


def applied(results: Iterable[CaseResult], entries: Iterable[Entry]) -> tuple[CaseResult, ...]:
    """Return the results as the ledger lets them stand."""
    entries = tuple(entries)
    return tuple(_applied(result, entries) for result in results)


def _applied(result: CaseResult, entries: tuple[Entry, ...]) -> CaseResult:
    entry = next((e for e in entries if e.id == result.id and e.subject in {None, result.subject}), None)
    if entry is None or result.state in {State.NOT_RUN, State.ERROR}:
        return result
    if result.state is not State.FAIL:
        return structs.replace(
            result, state=State.FAIL, reason=f"the ledger says that this fails, and it does not: {entry.reason}"
        )
    if not re.search(entry.raises, result.reason):
        return structs.replace(
            result, reason=f"{result.reason} (the ledger knows another failure of this check: {entry.raises!r})"
        )
    return structs.replace(result, state=State.KNOWN_FAIL, ledger=entry.reason)
