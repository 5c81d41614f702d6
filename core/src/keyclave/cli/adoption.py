"""``keyclave keys adoptable`` and ``adopt``: keys that are in a backend already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyclave.cli.command import command
from keyclave.cli.output import print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave.plugin import ForeignKey

__all__ = ["adopt", "adoptable"]

_backend = click.option("--backend", metavar="ID", required=True, help="The backend that the key is in.")


@command("adoptable", example="keyclave keys adoptable --backend hsm")
@_backend
def adoptable(session: Session, *, backend: str) -> None:
    """List the keys in a backend that could be adopted.

    They are keys that no Keyclave made. Columns: algorithm, address, and what the backend says of it.
    """
    with session.open() as clave:
        keys = clave.keys.adoptable(backend)
    if session.as_json:
        session.answer_list(map(_record, keys))
    else:
        print_table(("Algorithm", "Address", "Description"), [(k.algorithm, k.uri, k.description) for k in keys])


def _record(key: ForeignKey) -> dict[str, Any]:
    from base64 import b64encode  # noqa: PLC0415  not needed for --help

    public_key = None if key.public_key is None else b64encode(key.public_key).decode("ascii")
    return {"uri": key.uri, "algorithm": key.algorithm, "description": key.description, "public_key": public_key}


@command("adopt", example="keyclave keys adopt release 'pkcs11:token=ca;id=%01' --backend hsm")
@click.argument("name")
@click.argument("uri")
@_backend
@click.option("--algorithm", help="What the key must be. Without it: what the backend says that it is.")
def adopt(session: Session, *, name: str, uri: str, backend: str, algorithm: str | None) -> None:
    """Take over a key that is in a backend already.

    URI is its address, as `keys adoptable` prints it. It becomes version 1 of a new key, and stays where it is. From
    then on revoking disables it and destroying destroys it, for whoever else uses it too.
    """
    with session.open() as clave:
        handle = clave.keys.adopt(name, uri, algorithm=algorithm, backend=backend)
    session.answer(
        handle.model_dump(mode="json"),
        f"Adopted {handle.algorithm} key {name!r}, version {handle.version}, in backend {handle.backend_id!r}.",
    )
