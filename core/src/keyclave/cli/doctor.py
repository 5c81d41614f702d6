"""``keyclave doctor``."""

from __future__ import annotations

import dataclasses

import click

from keyclave.cli.command import command
from keyclave.cli.examination import examine
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import cell, counted
from keyclave.cli.session import Session

__all__ = ["doctor"]

_MARKS = {"ok": click.style("ok      ", fg="green"), "note": "note    ", "problem": click.style("PROBLEM ", fg="red")}


@command("doctor", example="keyclave doctor")
@click.option(
    "--policy",
    metavar="ID",
    help="Print the permissions that a backend needs, or any backend of a plugin, and no more.",
)
def doctor(session: Session, *, policy: str | None) -> int:
    """Look at everything, and say what is wrong.

    Everything is settings, plugins, backends, permissions, state, fallbacks and standbys, open changes and the audit
    log. Exit code 1 says that something is wrong.

    With --policy nothing is looked at: the least-privilege policy is printed, as the provider takes it.
    """
    if policy is not None:
        return _print_policy(session, policy)
    findings = []
    for finding in examine(session):
        findings.append(finding)
        if not session.as_json:
            click.echo(f"{_MARKS[finding.status]}{cell(finding.area)}: {cell(finding.text)}")
            if finding.next_step is not None:
                click.echo(f"        Next: {cell(finding.next_step)}")
    problems = sum(finding.status == "problem" for finding in findings)
    if session.as_json:
        session.answer({"ok": problems == 0, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        click.echo(f"{counted(problems, 'problem')}." if problems else "Nothing is wrong.")
    return ExitCode.FAILED if problems else ExitCode.DONE


def _print_policy(session: Session, name: str) -> int:
    from keyclave.app import permissions_policy  # noqa: PLC0415  not needed for --help

    text = permissions_policy(session.settings(), name)
    session.answer({"name": name, "policy": text}, *text.splitlines())
    return ExitCode.DONE
