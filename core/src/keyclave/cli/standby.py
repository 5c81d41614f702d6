"""``keyclave keys standby``: the version that signs while the backend of the active one is unavailable."""

from __future__ import annotations

import click

from keyclave.cli.command import command
from keyclave.cli.session import Session

__all__ = ["standby"]


@command("standby", example="keyclave keys standby release")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take the standby out of use instead.")
def standby(session: Session, *, name: str, remove: bool) -> None:
    """Give a key a standby version, or a new one.

    It is made in a backend behind that of the active version, and signs while that is unavailable, where the policy
    allows fallback. Publish its public key: verifiers must know it before it signs. A key that is created while the
    policy allows fallback has one already. One that is replaced or removed is deprecated: it still verifies.
    """
    with session.open() as clave:
        handle = clave.keys.remove_standby(name) if remove else clave.keys.add_standby(name)
    state = "signs no more" if remove else f"in backend {handle.backend_id!r} is its standby"
    session.answer(handle.model_dump(mode="json"), f"Version {handle.version} of {name!r} {state}.")
