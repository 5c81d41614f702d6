"""``keyclave state upgrade``."""

from __future__ import annotations

from keyclave.cli.command import command, group
from keyclave.cli.session import Session

__all__ = ["state"]


@command("upgrade", example="keyclave state upgrade --json")
def upgrade(session: Session) -> None:
    """Bring the database to the schema of this version of keyclave.

    A database of SQLite is upgraded whenever it is opened; that of a server only by this command.
    """
    from keyclave.state.databases import database_at  # noqa: PLC0415  SQLAlchemy is not needed for --help
    from keyclave.state.schema import REVISIONS  # noqa: PLC0415  as above
    from keyclave.state.upgrade import upgrade as upgrade_database  # noqa: PLC0415  as above

    url = session.settings().state.effective_url
    upgrade_database(url)
    place = database_at(url, 0).place()
    session.answer(
        {"state": place, "schema_revision": REVISIONS[-1]}, f"{place} has schema revision {REVISIONS[-1]}."
    )


state = group("state", "Look after the database.", upgrade)
