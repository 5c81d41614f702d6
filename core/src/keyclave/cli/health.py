"""``keyclave health``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.interruption import until_interrupted
from keyclave.cli.output import cell, print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave import Keyclave
    from keyclave.models import BackendHealth, HealthCheckResult

__all__ = ["health"]

_UNAVAILABLE = "UNAVAILABLE"
_LOOK = 1.0
"""Seconds between two looks at what the monitor found."""


@command("health", example="keyclave health")
@click.option("--watch", is_flag=True, help="Check each backend once a minute, until it is interrupted.")
def health(session: Session, *, watch: bool) -> int:
    """Check every configured backend now.

    Columns: id, result of this check, milliseconds, status that follows from the last ones, since when a process
    makes no calls to it, and detail. Two failures in a row make the status UNAVAILABLE, and two passes end that.
    With --watch a line is written for each backend and each time that it changes: id, status, since when a process
    makes no calls to it, and the detail of the last check. Exit code 4 says that at least one is unavailable.
    """
    with session.open() as clave:
        if watch:
            statuses = [found.availability_status for found in _watch(session, clave).values()]
        else:
            results = clave.health.check()
            _show_results(session, results, clave.health.status())
            statuses = [result.status for result in results.values()]
    return ExitCode.BACKEND if any(status.value == _UNAVAILABLE for status in statuses) else ExitCode.DONE


def _show_results(session: Session, results: dict[str, HealthCheckResult], found: dict[str, BackendHealth]) -> None:
    if session.as_json:
        session.answer(
            {
                backend_id: {
                    **result.model_dump(mode="json"),
                    **found[backend_id].model_dump(mode="json", include={"availability_status", "circuit_opened_at"}),
                }
                for backend_id, result in results.items()
            }
        )
        return
    print_table(
        ("Id", "Result", "ms", "Status", "No calls since", "Detail"),
        [
            (
                backend_id,
                result.status.value,
                f"{result.latency.total_seconds() * 1000:.1f}",
                found[backend_id].availability_status.value,
                found[backend_id].circuit_opened_at,
                result.detail,
            )
            for backend_id, result in results.items()
        ],
    )


def _watch(session: Session, clave: Keyclave) -> dict[str, BackendHealth]:
    ending = until_interrupted()
    shown: dict[str, tuple[object, ...]] = {}
    clave.health.start()
    while True:
        found = clave.health.status()
        for backend_id, now in found.items():
            what = (now.availability_status, now.circuit_opened_at, _detail(now))
            if now.health_check_status is not None and shown.get(backend_id) != what:
                shown[backend_id] = what
                _show_change(session, now)
        if ending.wait(_LOOK):
            return found


def _show_change(session: Session, now: BackendHealth) -> None:
    if session.as_json:
        session.answer(now.model_dump(mode="json"))
        return
    columns = (now.backend_id, now.availability_status.value, now.circuit_opened_at, _detail(now))
    click.echo("\t".join(map(cell, columns)))


def _detail(now: BackendHealth) -> str:
    return "" if now.health_check_status is None else now.health_check_status.detail
