"""What holds for every command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from keyclave.cli.root import COMMANDS, app

EXPECTED = {
    "tour",
    *(
        f"keys {name}"
        for name in (
            *("create", "adopt", "adoptable", "list", "show", "public-key", "sign", "verify"),
            *("encrypt", "decrypt", "rotate", "promote", "rollback", "rotate-due", "standby"),
            *("revoke", "destroy", "cancel-destruction", "confirm-clock"),
        )
    ),
    *(f"migrate {name}" for name in ("plan", "show", "approve", "run", "verify", "rollback", "retire", "list")),
    *("backends list", "backends show", "backends select"),
    *(
        "health",
        "detect",
        "audit list",
        "audit verify",
        "recover",
        "doctor",
        "state upgrade",
        "state grant",
        "new-backend",
        "conform",
    ),
}
# A measurement of coverage brings sqlite3 along before the program starts: what was there before does not count.
FORBIDDEN = ("pydantic", "sqlalchemy", "cryptography", "rich", "msgspec", "stevedore", "keyclave_software", "sqlite3")


def walk(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(walk(app))


def test_these_are_the_commands() -> None:
    assert {" ".join(path) for path in ALL} == EXPECTED


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    command = ALL[path]
    assert (command.help or "").strip()
    assert "--json" in result.output
    _, _, example = result.output.partition("Example:\n")
    assert f"keyclave {' '.join(path)}" in example
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_no_command_takes_a_secret_as_an_argument() -> None:
    names = {name for command in ALL.values() for parameter in command.params for name in parameter.opts}
    assert names >= {"name", "--backend", "--algorithm", "--reason"}
    secret = re.compile("pin|pass|secret|token|credential|private|key[-_]?file")
    assert [name for name in names if secret.search(name)] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_example_of_every_command_can_be_typed(path: tuple[str, ...]) -> None:
    """Its words are parsed, and no option in it is unknown; where there are several, each is a line."""
    for line in (ALL[path].epilog or "").partition("Example:\n")[2].splitlines():
        words = shlex.split(line.partition(">")[0])
        assert words[: 1 + len(path)] == ["keyclave", *path]
        ALL[path].make_context(path[-1], words[1 + len(path) :])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    assert (command.help or "").partition("\n")[0] == COMMANDS[name][1]


@pytest.mark.parametrize(
    "arguments", [("--help",), ("keys", "--help"), ("keys", "sign", "--help"), ("doctor", "--help"), ("--version",)]
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys, atexit\n"
        "before = set(sys.modules)\n"
        "from keyclave.cli import main\n"
        f"sys.argv = {['keyclave', *arguments]!r}\n"
        f"heavy = lambda: [m for m in {FORBIDDEN!r} if m in set(sys.modules) - before]\n"
        "atexit.register(lambda: print(heavy(), file=sys.stderr))\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == "[]\n"


def test_importing_the_command_line_opens_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import keyclave.cli\n"
        f"print([m for m in ('click', *{FORBIDDEN!r}) if m in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [("--json",), ("frobnicate",), ("keys", "sign"), ("keys", "list", "--colour")])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert not result.stdout
    assert "Error" in result.stderr or "error" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), *((name,) for name in COMMANDS if isinstance(app.get_command(click.Context(app), name), click.Group))],
)
def test_lists_of_commands_are_not_cut(arguments: tuple[str, ...]) -> None:
    """On a terminal of 80 columns."""
    assert (
        "..."
        not in CliRunner(env={"COLUMNS": "80"}).invoke(app, [*arguments, "--help"]).output.partition("Commands:")[2]
    )
