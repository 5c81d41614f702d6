"""``keyclave conform``: declared here, carried out by keyclave-contract-tests where that is installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keyclave.cli.command import command
from keyclave.cli.session import Session
from keyclave.errors import ConfigurationError

if TYPE_CHECKING:
    from keyclave import Settings
    from keyclave.backends.manager import BackendInstance

__all__ = ["conform"]

_GROUP = "keyclave.commands"
_FILE = click.Path(path_type=Path, dir_okay=False)


@command(
    "conform",
    example="keyclave conform software --budget smoke --report report\n"
    "  keyclave conform pkcs11-hsm --set module=/opt/acme/pkcs11.so --set token=contract --set pin_file=pin",
)
@click.argument("backend")
@click.option("--config", metavar="FILE", help="Settings file, as before the command.")
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="A setting of the plugin, or accept_simulator, where BACKEND is the name of a plugin and no settings file "
    "configures it.",
)
@click.option(
    "--budget",
    type=click.Choice(["smoke", "standard", "deep"]),
    default="standard",
    show_default=True,
    help="How much may be spent; levels need standard.",
)
@click.option("--report", metavar="DIR", type=click.Path(path_type=Path), help="Write JSON, JUnit, HTML and badge.")
@click.option("--baseline", metavar="FILE", type=_FILE, help="Say what changed since this contract-report.json.")
@click.option("--ledger", metavar="FILE", type=_FILE, help="Known failures, in TOML.")
@click.option(
    "--only",
    metavar="PATTERN",
    help="Only checks whose id, group or level matches this regular expression; earns no level.",
)
@click.option("--product", metavar="TEXT", help="What is tested and its firmware, for the report.")
@click.option("--seed", type=int, help="Repeat the random choices of an earlier run.")
@click.option("--dry-run", is_flag=True, help="Print the plan, and stop.")
@click.option("--sweep", is_flag=True, help="Remove what killed runs left behind, and stop.")
@click.option("--destructive", is_flag=True, help="Run although the backend holds keys of others.")
def conform(
    session: Session, backend: str, config: str | None, settings: tuple[str, ...], **wishes: Any
) -> int | None:
    """Check that a backend keeps the contract, and report it.

    BACKEND is a backend of the settings, or the name of an installed plugin. The run makes keys of its own, in a
    Keyclave instance of its own, and removes them.

    \b
    Exit codes:
      0  no check failed
      1  a check failed, keys could not be removed, or the suite does not work here
      2  wrong usage, settings or PIN; no check was run
      4  the plugin or the backend cannot be used; no check was run
      6  the backend holds keys of others; no check was run
    """  # noqa: D301  click's mark for lines that stay as they are
    session.config = config or session.config
    carry_out = _implementation()
    loaded = session.settings()
    given = {"config": session.config, "settings": settings, "as_json": session.as_json}
    try:
        code: int = carry_out(_instance(loaded, backend, settings), click.echo, {**wishes, **given})
    except ConfigurationError as error:
        if backend not in loaded.backends and error.backend_id is not None:
            _speak_of_options(error)
        raise
    return code


def _implementation() -> Any:
    found = tuple(metadata.entry_points(group=_GROUP, name="conform"))
    if len(found) != 1:
        raise ConfigurationError(
            "the contract suite is not installed" if not found else "two distributions offer the command conform",
            next_step="Run `pip install keyclave-contract-tests`.",
        )
    return found[0].load()


def _instance(loaded: Settings, backend: str, settings: tuple[str, ...]) -> BackendInstance:
    """Return the backend that is meant, with a data directory for runs of the suite alone."""
    from keyclave.backends.manager import BackendInstance  # noqa: PLC0415  not needed for --help

    configured = loaded.backends.get(backend)
    if configured is not None and settings:
        raise ConfigurationError(
            f"[backends.{backend}] is configured, so --set has no place",
            next_step="Change the settings file, or name another one with --config.",
        )
    given = dict(map(_setting, settings))
    accept_simulator = given.pop("accept_simulator", False)
    if not isinstance(accept_simulator, bool):
        raise click.UsageError("accept_simulator is true or false")
    return BackendInstance(
        id=backend,
        plugin=backend if configured is None else configured.plugin,
        settings=given if configured is None else configured.plugin_settings,
        data_directory=loaded.state.directory / "contract" / backend,
        accept_simulator=accept_simulator if configured is None else configured.accept_simulator,
    )


def _speak_of_options(error: ConfigurationError) -> None:
    """Let an error about the settings of a backend name the options that they came from, and no settings file."""
    error.message = error.message.replace(f"[backends.{error.backend_id}]", "--set", 1)
    if error.next_step == ConfigurationError.default_next_step:
        error.next_step = "Correct it with `--set NAME=VALUE`, once for each setting of the plugin."


def _setting(text: str) -> tuple[str, Any]:
    """Return the name and the value, which is TOML where it can be read as TOML, and text otherwise."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise click.UsageError(f"--set takes NAME=VALUE, and {text!r} is none")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value
