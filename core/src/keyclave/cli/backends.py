"""``keyclave backends list``, ``show`` and ``select``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyclave.cli.command import command, group
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import cell, print_table
from keyclave.cli.session import Session
from keyclave.errors import KeyclaveError

if TYPE_CHECKING:
    from keyclave import Keyclave

__all__ = ["backends"]


@command("list", example="keyclave backends list")
def list_backends(session: Session) -> None:
    """List the configured backends.

    Columns: id, plugin, level, status, and the evidence for the level or the error.
    """
    with session.open() as clave:
        rows = [_look(clave, backend_id) for backend_id in clave.settings.effective_backends]
    if session.as_json:
        session.answer_list(rows)
        return
    print_table(
        ("Id", "Plugin", "Level", "Status", "Evidence"),
        [
            (
                row["backend_id"],
                row["provider_type"],
                row.get("security_level"),
                row["availability_status"],
                row.get("error") or " ".join(row["security_evidence"]),
            )
            for row in rows
        ],
    )


def _look(clave: Keyclave, backend_id: str) -> dict[str, Any]:
    """Open a backend, and return what it shows, or why it cannot."""
    try:
        return clave.backends.show(backend_id).model_dump(mode="json")
    except KeyclaveError as error:
        return {
            "backend_id": backend_id,
            "provider_type": clave.settings.effective_backends[backend_id].plugin,
            "availability_status": "UNAVAILABLE",
            "error": error.message,
        }


@command("show", example="keyclave backends show software")
@click.argument("backend_id", metavar="ID")
def show_backend(session: Session, *, backend_id: str) -> None:
    """Show one backend.

    Its level with the evidence, and which new keys it may take.
    """
    from keyclave.models import ALGORITHMS  # noqa: PLC0415  pydantic is not needed for --help

    with session.open() as clave:
        shown = clave.backends.show(backend_id).model_dump(mode="json")
        takes = {name: _takes(clave, backend_id, name) for name in ALGORITHMS}
    if session.as_json:
        session.answer(
            shown | {"new_keys": {name: {"accepted": yes, "reason": why} for name, (yes, why) in takes.items()}}
        )
        return
    for field, value in shown.items():
        if value not in (None, [], {}):
            text = " ".join(value) if isinstance(value, list) else value
            click.echo(f"{field.replace('_', ' ')}: {cell(text)}")
    click.echo("new keys:")
    for name, (takes_it, reason) in takes.items():
        click.echo(f"  {name:<12} {'yes' if takes_it else f'no: {cell(reason)}'}")


def _takes(clave: Keyclave, backend_id: str, algorithm: str) -> tuple[bool, str]:
    candidates = clave.backends.select(algorithm).candidates
    return next((c.accepted, c.reason) for c in candidates if c.backend_id == backend_id)


@command("select", example="keyclave backends select --algorithm ECDSA_P256")
@click.option("--algorithm", help="What the new key will be. Without it: no particular algorithm.")
@click.option("--explain", is_flag=True, help="Say of each backend what was looked at, in order.")
def select(session: Session, *, algorithm: str | None, explain: bool) -> int:
    """Say which backend takes a new key.

    Columns: id, plugin, whether it may, and why. Exit code 6 says that none may take it.
    """
    if algorithm is not None:
        from keyclave.models import get_algorithm  # noqa: PLC0415  pydantic is not needed for --help

        get_algorithm(algorithm)
    with session.open() as clave:
        selection = clave.backends.select(algorithm)
    if session.as_json:
        candidates = [
            {
                "backend_id": c.backend_id,
                "backend_type": c.backend_type,
                "accepted": c.accepted,
                "reason": c.reason,
                "looks": c.looks,
                "is_away": c.is_away,
            }
            for c in selection.candidates
        ]
        session.answer({"chosen": selection.chosen, "candidates": candidates})
    else:
        click.echo(f"Chosen: {selection.chosen or 'none'}")
        print_table(
            ("Id", "Plugin", "Accepted", "Reason"),
            [(c.backend_id, c.backend_type, "yes" if c.accepted else "no", c.reason) for c in selection.candidates],
        )
        for candidate in selection.candidates if explain else ():
            click.echo(f"{candidate.backend_id}:")
            for look in candidate.looks:
                click.echo(f"  {cell(look)}")
            click.echo(f"  {'taken' if candidate.accepted else 'refused'}: {cell(candidate.reason)}")
    return ExitCode.POLICY if selection.chosen is None else ExitCode.DONE


backends = group(
    "backends",
    "See what keeps the keys, and which backend takes a new one.",
    *(list_backends, show_backend, select),
)
