"""``keyclave keys list``, ``show`` and ``public-key``: look at keys, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command
from keyclave.cli.output import print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave import KeyHandle

__all__ = ["list_keys", "public_key", "show"]

_VERSION_COLUMNS = (
    *("Version", "Status", "Algorithm", "Backend", "Address", "Created"),
    *("Last rotation", "Next rotation", "Takes over", "Destroyed", "Kept until"),
)


@command("list", example="keyclave keys list")
def list_keys(session: Session) -> None:
    """List all keys, each with its active version.

    Columns: name, algorithm, version, status, backend, creation and next rotation (UTC).
    """
    with session.open() as clave:
        handles = (handle for page in clave.keys.pages() for handle in page)
        if session.as_json:
            session.answer_list(handle.model_dump(mode="json") for handle in handles)
            return
        columns = ("Name", "Algorithm", "Version", "Status", "Backend", "Created", "Next rotation")
        print_table(columns, (_line(handle) for handle in handles))


def _line(handle: KeyHandle) -> tuple[object, ...]:
    return (
        handle.name,
        handle.algorithm,
        handle.version,
        handle.status.value,
        handle.backend_id,
        handle.created_at,
        handle.next_rotation_at,
    )


@command("show", example="keyclave keys show release")
@click.argument("name")
def show(session: Session, *, name: str) -> None:
    """Show a key and every version of it.

    Columns: version, status, algorithm, backend, address in it, creation, last and next rotation, when it takes over
    if it is under validation, destruction, and until when it must be kept if it was replaced (UTC).
    """
    from keyclave.services.keys.service import current_handle  # noqa: PLC0415  not needed for --help

    with session.open() as clave:
        versions = clave.keys.versions(name)
    if session.as_json:
        session.answer([handle.model_dump(mode="json") for handle in versions])
        return
    current = current_handle(versions)
    properties = current.security_properties
    click.echo(f"Key {current.name!r}, {current.algorithm}, {current.key_id}, owner {current.owner_principal}")
    click.echo(
        f"Wrappable: {_yes_no(properties.wrappable)}. Exportable: {_yes_no(properties.exportable)}. "
        f"In an HSM: {_yes_no(properties.hsm_backed)}. For: {', '.join(properties.allowed_operations)}."
    )
    print_table(_VERSION_COLUMNS, map(_version_line, versions))


def _version_line(handle: KeyHandle) -> tuple[object, ...]:
    return (
        handle.version,
        handle.status.value,
        handle.algorithm,
        handle.backend_id,
        handle.provider_uri,
        handle.created_at,
        handle.last_rotation_at,
        handle.next_rotation_at,
        handle.validation_ends_at,
        handle.destroyed_at,
        handle.not_destroy_before if handle.destroyed_at is None else None,
    )


def _yes_no(value: bool) -> str:  # noqa: FBT001  the value to show
    return "yes" if value else "no"


@command("public-key", example="keyclave keys public-key release > release.pem")
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="The version. Without it: the active one.")
def public_key(session: Session, *, name: str, version: int | None) -> None:
    """Print the public key as PEM (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415  see cli/__init__

    with session.open() as clave:
        number = clave.keys.get(name).version if version is None else version
        key = clave.keys.public_key(name, number)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    if session.as_json:
        session.answer({"name": name, "version": number, "public_key": pem})
    else:
        click.echo(pem, nl=False)
