"""What ``keyclave doctor`` finds of fallbacks and standby versions (FR-024)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keyclave.cli.finding import Finding
from keyclave.cli.output import counted

if TYPE_CHECKING:
    from keyclave import Keyclave
    from keyclave.services.results import RunningFallback, UnusableStandby

__all__ = ["fallback_findings"]

_TIME = "%Y-%m-%d %H:%M:%S UTC"
_MAKE_AVAILABLE = "Make the backend available: its first answer ends the fallback, and so does `keyclave health`."


def fallback_findings(clave: Keyclave) -> Iterator[Finding]:
    """Yield what is found: nothing where there is no fallback, and there are no standbys of an earlier one."""
    allowed = clave.environment.fallback_policy.enabled
    running, unusable = clave.backends.fallbacks(), clave.backends.unusable_standbys()
    for fallback in running:
        yield _running(fallback, datetime.now(UTC))
    groups: dict[tuple[str, str], list[UnusableStandby]] = {}
    for standby in unusable:
        groups.setdefault((standby.backend_id, standby.reason), []).append(standby)
    for group in groups.values():
        yield _unusable(group, allowed=allowed)
    if allowed and not running and not unusable:
        yield Finding("fallback", "ok", "none is under way, and every standby can sign")


def _running(fallback: RunningFallback, now: datetime) -> Finding:
    since = f"{fallback.begun_at:{_TIME}}"
    if fallback.ends_at is None:
        text = f"standbys sign for backend {fallback.backend_id!r} since {since}, until it is back"
    elif now < fallback.ends_at:
        left = timedelta(seconds=int((fallback.ends_at - now).total_seconds()))
        text = f"standbys sign for backend {fallback.backend_id!r} since {since}, for {left} more at the most"
    else:
        text = (
            f"standbys signed for backend {fallback.backend_id!r} from {since} to {fallback.ends_at:{_TIME}},"
            " and do so no more: that is as long as max_duration allows"
        )
        return Finding("fallback", "problem", text, _MAKE_AVAILABLE)
    return Finding("fallback", "note", text, _MAKE_AVAILABLE)


def _unusable(group: list[UnusableStandby], *, allowed: bool) -> Finding:
    first = group[0]
    text = (
        f"{counted(len(group), 'standby version')} in backend {first.backend_id!r} cannot sign, such as version"
        f" {first.version} of {first.name!r}: {first.reason}"
    )
    if not allowed:
        return Finding("fallback", "note", text, "Take each out of use: `keyclave keys standby NAME --remove`.")
    return Finding(
        "fallback",
        "problem",
        text,
        "Repair the backend, or give each key a new standby: `keyclave keys standby NAME`, or `keys rotate-due` where"
        " it waits to be replaced.",
    )
