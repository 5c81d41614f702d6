"""``keyclave detect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import keyclave
from keyclave.cli.command import command
from keyclave.cli.output import cell, print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave import DetectionResult

__all__ = ["detect"]


@command("detect", example="keyclave detect --no-network")
@click.option("--no-network", is_flag=True, help="Do not ask the metadata servers of the clouds.")
@click.option("--refresh", is_flag=True, help="Ask them again, whatever they answered not long ago.")
def detect(session: Session, *, no_network: bool, refresh: bool) -> None:
    """Say where this runs, and what shows it.

    The environment is the one whose rules the evidence implies, and the backend the plugin that suits it. Columns:
    platform, how sure, milliseconds, where it was seen, and what was seen. Nothing is opened or changed, except that
    answers of metadata servers are kept for a while.
    """
    from keyclave.cli.notices import notices_to_stderr  # noqa: PLC0415  logging is not needed for --help

    with notices_to_stderr(as_json=session.as_json):
        found = keyclave.detect(session.config, network=False if no_network else None, refresh=refresh)
    if session.as_json:
        import msgspec  # noqa: PLC0415  not needed for --help

        session.answer(msgspec.to_builtins(found))
    else:
        _print(found)


def _print(found: DetectionResult) -> None:
    click.echo(f"Environment: {found.environment_type.value}")
    click.echo(f"Backend:     {cell(found.backend_type)}")
    print_table(
        ("Platform", "Sure", "ms", "Seen by", "Seen"),
        [
            (each.platform, f"{each.confidence:.0%}", f"{each.seconds * 1000:.0f}", each.source, observation)
            for each in found.evidence
            for observation in each.observations
        ],
    )
    for plugin in found.missing:
        click.echo(f"Install:     pip install {plugin.distribution}  (the plugin for {cell(plugin.platform)})")
    if not found.network:
        click.echo("The network was not asked.")
    for warning in found.warnings:
        click.echo(f"Warning: {cell(warning)}", err=True)
