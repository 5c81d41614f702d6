"""What ``keyclave doctor`` looks at, and what it finds."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keyclave import __version__
from keyclave.cli.fallback_findings import fallback_findings
from keyclave.cli.finding import Finding
from keyclave.cli.key_findings import key_findings
from keyclave.cli.output import counted
from keyclave.cli.session import Session
from keyclave.errors import KeyclaveError

if TYPE_CHECKING:
    from keyclave import Keyclave, Settings

__all__ = ["examine"]

_PREFIX = "KEYCLAVE_"
_LONGEST_INTERVAL = timedelta(days=366)
_CLOCKS_DIFFER = timedelta(minutes=5)
_BROKEN_PLUGIN = frozenset({"failed", "conflicting"})


def examine(session: Session) -> Iterator[Finding]:
    """Look at everything, and yield what is found. A problem does not end it, unless nothing more can be seen."""
    yield Finding("keyclave", "ok", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    try:
        settings = session.settings()
    except KeyclaveError as error:
        yield _problem("settings", error)
        return
    yield from _settings(settings)
    try:
        with session.open() as clave:
            if settings.configured_type is None:
                yield _environment(clave.settings)
            yield Finding("state", "ok", f"instance {clave.instance_id}, all changes of the schema are applied")
            yield from _role(clave.settings)
            yield from _backends(clave)
            yield _selection(clave)
            yield from key_findings(clave)
            yield from fallback_findings(clave)
            yield from _rotation(clave)
            yield from _plugins(clave)
            yield _recovery(clave)
            yield _audit(clave)
    except KeyclaveError as error:
        yield _problem("state", error)


def _problem(area: str, error: KeyclaveError) -> Finding:
    return Finding(area, "problem", error.message, error.next_step)


def _settings(settings: Settings) -> Iterator[Finding]:
    from keyclave.state.databases import database_at  # noqa: PLC0415  SQLAlchemy is not needed for --help

    yield Finding("settings", "ok", f"file: {settings.source or 'none'}")
    if variables := sorted(name for name in os.environ if name.startswith(_PREFIX)):
        yield Finding("settings", "ok", f"environment variables: {', '.join(variables)}")
    if settings.is_default:
        yield Finding("settings", "note", "no backend is configured: keys are kept in software, for local use only")
    if settings.configured_type is None:
        yield Finding("environment", "note", "[environment] type is not set; `keyclave detect` says what was found")
    else:
        yield _environment(settings)
    try:
        place = database_at(settings.state.effective_url, 0).place()
    except KeyclaveError as error:
        yield _problem("state", error)
    else:
        yield Finding("state", "ok", f"database: {place}; instance key: {settings.state.effective_key_file}")


def _role(settings: Settings) -> Iterator[Finding]:
    from keyclave.state.roles import may_rewrite_log, missing_rights  # noqa: PLC0415  SQLAlchemy is not needed for --help

    url = settings.state.effective_url
    if not url.get_secret_value().startswith("postgresql"):
        return
    if missing := missing_rights(url):
        yield Finding(
            "state",
            "problem",
            f"the user of the database lacks rights: {', '.join(missing)}",
            "As the owner of the tables run `keyclave state grant ROLE` for this user, after each upgrade as well.",
        )
    if may_rewrite_log(url):
        yield Finding(
            "state",
            "note",
            "the user of the database could change the audit log, or the rules against that",
            "Run `keyclave state grant ROLE` as this user, and let applications work as ROLE.",
        )


def _environment(settings: Settings) -> Finding:
    environment = settings.environment
    audit = "on" if environment.audit.enabled else "off"
    return Finding(
        "environment",
        "ok",
        f"{environment.type.value}, required level {environment.effective_level.value}, audit {audit}",
    )


def _backends(clave: Keyclave) -> Iterator[Finding]:
    for backend_id in clave.settings.effective_backends:
        area = f"backend {backend_id}"
        try:
            shown = clave.backends.show(backend_id)
        except KeyclaveError as error:
            yield _problem(area, error)
        else:
            evidence = " ".join(shown.security_evidence)
            yield Finding(
                area, "ok", f"opened, plugin {shown.provider_type}, {shown.security_level.value}: {evidence}"
            )
            yield from _permissions(clave, backend_id, area)


def _permissions(clave: Keyclave, backend_id: str, area: str) -> Iterator[Finding]:
    try:
        report = clave.backends.permissions(backend_id)
    except KeyclaveError as error:
        yield _problem(area, error)
        return
    if report is None:
        return
    for permission in report.missing:
        yield Finding(
            area,
            "problem",
            f"the permission {permission} is missing",
            f"Grant it to the identity of this process; `keyclave doctor --policy {backend_id}` prints all of them.",
        )
    if not report.missing:
        yield Finding(area, "ok", "no permission is missing")
    if report.unchecked:
        yield Finding(area, "note", f"not tried, since trying would do it: {', '.join(report.unchecked)}")


def _selection(clave: Keyclave) -> Finding:
    selection = clave.backends.select()
    if selection.chosen is not None:
        return Finding("new keys", "ok", f"backend {selection.chosen} takes them")
    reasons = "; ".join(f"{candidate.backend_id}: {candidate.reason}" for candidate in selection.candidates)
    return Finding(
        "new keys",
        "problem",
        f"no backend may take one ({reasons})",
        "Configure a backend that the policy takes; `keyclave backends select --explain` says what it refuses.",
    )


def _rotation(clave: Keyclave) -> Iterator[Finding]:
    now = datetime.now(UTC)
    rotating = {intent.key_id for intent in clave.recovery.waiting()}
    handles = (handle for page in clave.keys.pages() for handle in page)
    dates = [(h.key_id, h.created_at, h.next_rotation_at) for h in handles if h.next_rotation_at is not None]
    due = [date for key_id, _, date in dates if date <= now and key_id not in rotating]
    beyond = sum(made > now + _CLOCKS_DIFFER or date > now + _LONGEST_INTERVAL for _, made, date in dates)
    if due:
        yield Finding(
            "rotation",
            "note",
            f"{counted(len(due), 'key')} due, since {min(due):%Y-%m-%d} the longest",
            "Run `keyclave keys rotate-due`, and let a timer do it from now on.",
        )
    if beyond:
        yield Finding(
            "rotation",
            "note",
            f"{counted(beyond, 'key')} due later than the interval ends: the clock was ahead when they were rotated",
            "Rotate each of them once by hand, which sets the date anew: `keyclave keys list` shows the dates.",
        )
    if not due and not beyond:
        yield Finding("rotation", "ok", "no key is due")
    if (suspended := clave.rotation.suspended()) is not None:
        yield Finding(
            "rotation",
            "note",
            f"nothing is destroyed by its age: {suspended}",
            "Run `keyclave keys confirm-clock` if the clock is right.",
        )


def _plugins(clave: Keyclave) -> Iterator[Finding]:
    for report in clave.backends.reports():
        whose = f"{report.distribution} {report.version}" if report.distribution else "no distribution"
        text = f"{report.state.value} ({whose})"
        if report.stage is not None:
            text += f", at stage {report.stage.value}: {report.reason}"
        if report.state.value in _BROKEN_PLUGIN:
            yield Finding(f"plugin {report.name}", "problem", text, report.to_error().next_step)
        else:
            yield Finding(f"plugin {report.name}", "ok", text)


def _recovery(clave: Keyclave) -> Finding:
    count = len(clave.recovery.open_intents())
    if count:
        return Finding(
            "recovery", "problem", f"unfinished: {counted(count, 'change')}", "Run `keyclave recover` to see which."
        )
    return Finding("recovery", "ok", "no change is open")


def _audit(clave: Keyclave) -> Finding:
    report = clave.audit.verify()
    if report.ok and not clave.audit.enabled:
        return Finding("audit", "note", "off")
    if report.ok:
        return Finding("audit", "ok", f"{counted(report.records, 'record')}, the chain is whole")
    return Finding(
        "audit",
        "problem",
        f"{counted(report.fault_count, 'fault')} in {counted(report.records, 'record')}",
        "Run `keyclave audit verify` to see which.",
    )
