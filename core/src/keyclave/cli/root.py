"""The command ``keyclave`` itself: its global options and its commands."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from keyclave import __version__
from keyclave.cli.ending import die_on_sigterm, leave, run_guarded
from keyclave.cli.exit_codes import MEANINGS
from keyclave.cli.lazy import LazyGroup
from keyclave.cli.session import Session

__all__ = ["COMMANDS", "app", "run"]

COMMANDS = {
    "tour": ("keyclave.cli.tour:tour", "See the main job done on a file, in a scratch directory."),
    "keys": ("keyclave.cli.keys:keys", "Create, use and end keys."),
    "migrate": ("keyclave.cli.migration:migrate", "Let keys go from one backend to another."),
    "backends": ("keyclave.cli.backends:backends", "See what keeps the keys, and which backend takes a new one."),
    "health": ("keyclave.cli.health:health", "Check every configured backend now."),
    "detect": ("keyclave.cli.detect:detect", "Say where this runs, and what shows it."),
    "audit": ("keyclave.cli.audit:audit", "Read the audit log, and prove it."),
    "recover": ("keyclave.cli.recover:recover", "Finish or undo what an interrupted change left open."),
    "doctor": ("keyclave.cli.doctor:doctor", "Look at everything, and say what is wrong."),
    "conform": ("keyclave.cli.conform:conform", "Check that a backend keeps the contract, and report it."),
    "new-backend": ("keyclave.cli.new_backend:new_backend", "Write the package of a new backend."),
    "state": ("keyclave.cli.state:state", "Look after the database."),
}


class Program(LazyGroup):
    """The root of all commands. Every way of running it ends with a documented exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  the signature is click's
        **extra: Any,
    ) -> NoReturn:
        """Run the program and leave the process; see `click.Group`. It is always standalone."""
        arguments = list(sys.argv[1:] if args is None else args)
        code = run_guarded(
            lambda: super(Program, self).main(arguments, prog_name, complete_var, standalone_mode=False, **extra),
            as_json="--json" in arguments,
        )
        sys.exit(code)


@click.group(
    name="keyclave",
    cls=Program,
    lazy=COMMANDS,
    epilog="\b\nExit codes:\n" + "\n".join(f"  {code.value:<4} {meaning}" for code, meaning in MEANINGS.items()),
)
@click.option(
    "--config",
    metavar="FILE",
    help="Settings file. Without it: KEYCLAVE_CONFIG, then keyclave.toml here, then in the user's configuration.",
)
@click.option(
    "--principal",
    metavar="NAME",
    help="Who works with it, for the audit log and for approvals. Without it: the operating system's user.",
)
@click.version_option(__version__, prog_name="keyclave", message="%(prog)s %(version)s")
@click.pass_context
def app(context: click.Context, config: str | None, principal: str | None) -> None:
    """Keys that live in hardware, in a cloud or in the operating system."""
    context.obj = Session(config, principal)


def run() -> NoReturn:
    """Run the program as a process of its own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no failure
    die_on_sigterm()
    try:
        app.main(prog_name="keyclave")
    except SystemExit as ended:
        leave(int(ended.code or 0))
