"""How a command is declared: with an example in its help, and with ``--json``."""

from __future__ import annotations

from collections.abc import Callable

import click

from keyclave.cli.session import Session

__all__ = ["command", "group"]

_pass_session = click.make_pass_decorator(Session, ensure=True)


def _set_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001  click's signature
    context.ensure_object(Session).as_json = value


def command(name: str, *, example: str) -> Callable[[Callable[..., int | None]], click.Command]:
    """Declare a command; the function is given the `Session` first, and returns its exit code, or ``None`` for 0.

    Args:
        name: what the user types.
        example: a complete command, shown at the end of the help.
    """

    def declare(function: Callable[..., int | None]) -> click.Command:
        declared = click.command(name, epilog=f"\b\nExample:\n  {example}")(_pass_session(function))
        declared.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_set_json,
                help="Answer in JSON on standard output; errors are JSON lines on standard error.",
            )
        )
        return declared

    return declare


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def group(name: str, summary: str, *commands: click.Command) -> click.Group:
    """Return a group of commands, listed in the order given."""
    return _Group(name, help=summary, commands=commands)
