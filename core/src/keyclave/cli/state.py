"""``keyclave state upgrade`` and ``grant``."""

from __future__ import annotations

import click

from keyclave.cli.command import command, group
from keyclave.cli.session import Session

__all__ = ["state"]


@command("upgrade", example="keyclave state upgrade --json")
def upgrade(session: Session) -> None:
    """Bring the database to the schema of this version of keyclave.

    A database of SQLite is upgraded whenever it is opened; that of a server only by this command.
    """
    from keyclave.assembly import state_url  # noqa: PLC0415  SQLAlchemy is not needed for --help
    from keyclave.state.databases import database_at  # noqa: PLC0415  as above
    from keyclave.state.schema import REVISIONS  # noqa: PLC0415  as above
    from keyclave.state.upgrade import upgrade as upgrade_database  # noqa: PLC0415  as above

    url = state_url(session.settings())
    upgrade_database(url)
    place = database_at(url, 0).place()
    session.answer(
        {"state": place, "schema_revision": REVISIONS[-1]}, f"{place} has schema revision {REVISIONS[-1]}."
    )


@command("grant", example="keyclave state grant keyclave_app")
@click.argument("role")
def grant(session: Session, *, role: str) -> None:
    """Let a PostgreSQL role use the database, but not rewrite its log.

    The role can change and remove no record of the audit log. Run it as the owner of the tables, and again after
    each upgrade. Applications then work as ROLE, which must be there; it keeps no other right on the tables.
    """
    from keyclave.assembly import state_url  # noqa: PLC0415  SQLAlchemy is not needed for --help
    from keyclave.state.databases import database_at  # noqa: PLC0415  as above
    from keyclave.state.roles import grant as grant_role  # noqa: PLC0415  as above

    url = state_url(session.settings())
    grant_role(url, role)
    place = database_at(url, 0).place()
    session.answer({"state": place, "role": role}, f"Role {role} may use {place}, and change no record of its log.")


state = group("state", "Look after the database.", upgrade, grant)
