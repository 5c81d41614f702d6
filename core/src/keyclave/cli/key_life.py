"""``keyclave keys create``, ``revoke``, ``destroy`` and ``cancel-destruction``: from first to last."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from keyclave.cli.command import command
from keyclave.cli.session import Session

__all__ = ["cancel_destruction", "create", "destroy", "revoke"]

_yes = click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal, and with --json.")


@command("create", example="keyclave keys create release --algorithm ECDSA_P256")
@click.argument("name")
@click.option(
    "--algorithm",
    required=True,
    help="RSA_2048, RSA_3072, RSA_4096, ECDSA_P256, ECDSA_P384, ED25519, ML_DSA_65 or AES_256.",
)
@click.option("--backend", metavar="ID", help="Backend to create it in. Without it: the first that policy allows.")
@click.option("--wrappable", is_flag=True, help="Let a migration move the key itself, wrapped, to another backend.")
def create(session: Session, *, name: str, algorithm: str, backend: str | None, wrappable: bool) -> None:
    """Create a key and its first version."""
    with session.open() as clave:
        handle = clave.keys.create(name, algorithm, backend=backend, wrappable=wrappable)
        versions = clave.keys.versions(name)
    session.answer(
        handle.model_dump(mode="json"),
        f"Created {handle.algorithm} key {name!r}, version {handle.version}, in backend {handle.backend_id!r}.",
        *(
            f"Its standby, version {v.version}, is in backend {v.backend_id!r}."
            for v in versions
            if v.status == "STANDBY"
        ),
    )


@command("revoke", example='keyclave keys revoke release --reason "laptop lost" --yes')
@click.argument("name")
@click.option("--reason", required=True, help="Why.")
@_yes
def revoke(session: Session, *, name: str, reason: str, yes: bool) -> None:
    """Take a key out of use, for good.

    No version of it signs, verifies or decrypts any more. A confirmation is asked for.
    """
    session.confirm(f"Revoke every version of {name!r}? This cannot be undone.", confirmed=yes)
    with session.open() as clave:
        handles = clave.keys.revoke(name, reason)
    session.answer(
        [handle.model_dump(mode="json") for handle in handles],
        *(f"Version {handle.version} of {name!r} is revoked." for handle in handles),
    )


@command("destroy", example="keyclave keys destroy release --version 1 --yes")
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), required=True, help="The version, deprecated or revoked.")
@_yes
def destroy(session: Session, *, name: str, version: int, yes: bool) -> None:
    """Destroy one version of a key in its backend.

    Whether it was created or adopted: what it encrypted cannot be decrypted any more. Only a deprecated or revoked
    version is destroyed, and not before its retention ends. A confirmation is asked for.
    """
    question = (
        f"Destroy version {version} of {name!r} in its backend, even if it was adopted?"
        " This cannot be undone, unless the backend delays it."
    )
    session.confirm(question, confirmed=yes)
    with session.open() as clave:
        handle = clave.keys.destroy(name, version)
    text = f"Version {version} of {name!r} is destroyed as of {handle.destroyed_at:%Y-%m-%d %H:%M:%S} UTC."
    if handle.destroyed_at is not None and handle.destroyed_at > datetime.now(UTC):
        text += " Until then `keyclave keys cancel-destruction` calls it off."
    session.answer(handle.model_dump(mode="json"), text)


@command("cancel-destruction", example="keyclave keys cancel-destruction release --version 1")
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), required=True, help="The version that is to be destroyed.")
def cancel_destruction(session: Session, *, name: str, version: int) -> None:
    """Call the destruction of one version off.

    Backends that delay destruction can do that until the date that `keyclave keys show` tells. The version is what
    it was before: a deprecated one decrypts again, a revoked one stays out of use.
    """
    with session.open() as clave:
        handle = clave.keys.cancel_destruction(name, version)
    session.answer(
        handle.model_dump(mode="json"),
        f"The destruction of version {version} of {name!r} is called off. It is {handle.status.value}.",
    )
