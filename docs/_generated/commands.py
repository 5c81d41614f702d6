"""The reference pages of the command line and of its exit codes, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click
from keyclave.cli.exit_codes import CODES, MEANINGS
from keyclave.cli.root import app

__all__ = ["commands", "exit_code_page", "page"]

_HEAD = """# Command line

`keyclave [--config FILE] [--principal NAME] COMMAND …`. Every command has `--help` and `--json`. Answers go to
standard output, warnings and errors to standard error; [the exit code](exit-codes.md) says how it ended. Secrets are
never given on the command line.
"""
_WIDTH = 80
_EXIT_HEAD = """# Exit codes

| code | meaning | errors |
|--:|---|---|
"""


def page() -> str:
    """Return the page of all commands as Markdown."""
    return _HEAD + "".join(_section(path, command) for path, command in commands())


def exit_code_page() -> str:
    """Return the page of the exit codes as Markdown."""
    return _EXIT_HEAD + "".join(
        f"| {code.value} | {meaning} | {', '.join(f'`{cls.__name__}`' for cls, c in CODES.items() if c == code)} |\n"
        for code, meaning in MEANINGS.items()
    )


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with the words that call it."""
    yield from _below("keyclave", app)


def _below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from _below(f"{path} {name}", found)


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, terminal_width=_WIDTH)
    return f"\n## `{path}`\n\n```text\n{command.get_help(context)}\n```\n"
