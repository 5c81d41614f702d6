"""``keyclave keys rotate``, ``promote``, ``rollback``, ``rotate-due`` and ``confirm-clock``: new versions of keys."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command
from keyclave.cli.interruption import until_interrupted
from keyclave.cli.output import counted
from keyclave.cli.session import Session
from keyclave.errors import KeyclaveError

if TYPE_CHECKING:
    from keyclave import Keyclave, KeyHandle
    from keyclave.services.results import DueReport

__all__ = ["confirm_clock", "promote", "rollback", "rotate", "rotate_due"]

_EVERY = 60
"""Seconds between two looks at what is due."""
_log = logging.getLogger("keyclave.rotation")


@command("rotate", example="keyclave keys rotate release")
@click.argument("name")
@click.option("--algorithm", help="Algorithm of the new version, to change it. Without it: as before.")
@click.option("--now", is_flag=True, help="Without a validation period: the new version takes over at once.")
@click.option(
    "--validation-period", metavar="TIME", help="How long both sign, as 24h or 30m. Without it: as the policy says."
)
def rotate(session: Session, *, name: str, algorithm: str | None, now: bool, validation_period: str | None) -> None:
    """Give a key a new version.

    During the validation period of the key's policy both versions sign, and verifiers accept either. Then the new
    one takes over, and the one before still verifies. A key that encrypts has no such period.
    """
    if now and validation_period is not None:
        raise click.UsageError("--now is a validation period of 0: name one of both.")
    period = timedelta(0) if now else _period(validation_period)
    with session.open() as clave:
        handle = clave.rotation.rotate(name, algorithm=algorithm, validation_period=period)
    session.answer(handle.model_dump(mode="json"), _new_version(handle))


def _period(text: str | None) -> timedelta | None:
    """Read a time as the settings write it."""
    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  not needed for --help

    from keyclave.settings import Duration  # noqa: PLC0415  as above

    try:
        period: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise click.UsageError(f"{text!r} is no time: write 7d, 24h, 30m or 10s.") from None
    return period


def _new_version(handle: KeyHandle) -> str:
    version = f"Version {handle.version} of {handle.name!r}"
    if handle.status == "STANDBY":
        return f"{version} is the new standby."
    if handle.validation_ends_at is None:
        return f"{version} is active."
    return f"{version} signs beside the active one, and takes over on {handle.validation_ends_at:%Y-%m-%d %H:%M} UTC."


@command("promote", example="keyclave keys promote release")
@click.argument("name")
def promote(session: Session, *, name: str) -> None:
    """Let the version under validation take over.

    It ends the validation period of the key.
    """
    with session.open() as clave:
        handle = clave.rotation.promote(name)
    session.answer(handle.model_dump(mode="json"), _new_version(handle))


@command("rollback", example='keyclave keys rollback release --reason "partners cannot verify it"')
@click.argument("name")
@click.option("--reason", required=True, help="Why.")
def rollback(session: Session, *, name: str, reason: str) -> None:
    """Give the version under validation up.

    It is revoked, so that nothing verifies with it any more, and destroyed. The active version stays.
    """
    with session.open() as clave:
        handle = clave.rotation.rollback(name, reason)
    session.answer(handle.model_dump(mode="json"), f"Version {handle.version} of {name!r} stays active.")


@command("rotate-due", example="keyclave keys rotate-due --watch")
@click.option("--watch", is_flag=True, help="Look again each minute, until it is interrupted.")
def rotate_due(session: Session, *, watch: bool) -> None:
    """Do what is due by the rotation policies of all keys.

    Rotates keys that are old enough, ends validation periods that are over, and destroys deprecated versions that
    need not be kept any more. What fails with one key leaves the others; the command then ends with 1.
    """
    with session.open() as clave:
        if not watch:
            report = clave.rotation.run_due()
            _show(session, report)
            if report.failed:
                raise SystemExit(1)
            return
        _watch(session, clave)


def _watch(session: Session, clave: Keyclave) -> None:
    ending = until_interrupted()
    while not ending.is_set():
        _look(session, clave)
        ending.wait(_EVERY)


def _look(session: Session, clave: Keyclave) -> None:
    try:
        report = clave.rotation.run_due()
    except KeyclaveError as error:
        if not error.retryable:
            raise
        _log.warning("what is due is not done yet: %s", error)
    else:
        _show(session, report)


def _show(session: Session, report: DueReport) -> None:
    lines = [_new_version(handle) for handle in report.rotated]
    if report.recovered:
        lines.append(f"{counted(report.recovered, 'open change')} ended.")
    lines += [
        f"Version {h.version} of {h.name!r} is destroyed as of {h.destroyed_at:%Y-%m-%d}." for h in report.destroyed
    ]
    lines += [f"{name!r}: {problem}" for name, problem in report.failed]
    if report.suspended is not None:
        lines.append(f"Nothing is destroyed by its age: {report.suspended}.")
    session.answer(
        {
            "rotated": [handle.model_dump(mode="json") for handle in report.rotated],
            "recovered": report.recovered,
            "destroyed": [handle.model_dump(mode="json") for handle in report.destroyed],
            "failed": [{"name": name, "problem": problem} for name, problem in report.failed],
            "suspended": report.suspended,
        },
        *(lines or ["Nothing is due."]),
    )


@command("confirm-clock", example="keyclave keys confirm-clock")
def confirm_clock(session: Session) -> None:
    """Say that the clock is right, after it jumped.

    Until then nothing is destroyed by its age: a wrong clock could end every retention at once.
    """
    with session.open() as clave:
        now = clave.rotation.confirm_clock()
    session.answer({"witnessed_at": now.isoformat()}, f"The clock is trusted from {now:%Y-%m-%d %H:%M} UTC on.")
