"""The schema that the code queries is the one that the revisions make."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from keyclave.errors import ConfigurationError
from keyclave.state import upgrade as upgrade_module
from keyclave.state.schema import METADATA, REVISIONS
from keyclave.state.upgrade import upgrade

from core.tests.databases import Place


def test_the_known_revisions_are_those_that_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(upgrade_module.__file__).with_name("migrations")))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == REVISIONS[-1]
    assert tuple(r.revision for r in reversed(list(script.walk_revisions()))) == REVISIONS


def test_the_tables_have_the_columns_that_queries_use(place: Place) -> None:
    place.open().close()
    with place.inspected() as inspector:
        found = {
            name: {column["name"]: _kind(column["type"]) for column in inspector.get_columns(name)}
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }
    assert found == {
        name: {column.name: _kind(column.type) for column in table.columns} for name, table in METADATA.tables.items()
    }


def _kind(column_type: sa.types.TypeEngine[object]) -> type[object]:
    return column_type.python_type


def test_every_table_is_strict_about_types(sqlite_place: Place) -> None:
    sqlite_place.open().close()
    with sqlite_place.raw() as connection:
        rows = connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    assert {name for name, strict in rows if strict} == set(METADATA.tables)


def test_upgrading_again_changes_nothing(place: Place) -> None:
    upgrade(place.url)
    with place.raw() as connection:
        connection.execute("UPDATE alembic_version SET version_num = version_num")
    upgrade(place.url)
    place.open().close()


def test_an_upgrade_to_an_older_schema_is_refused(place: Place) -> None:
    upgrade(place.url)
    with place.raw() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        upgrade(place.url)


@pytest.mark.needs("postgresql")
def test_a_server_database_is_not_upgraded_by_opening_it(postgresql_place: Place) -> None:
    with postgresql_place.raw() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with pytest.raises(ConfigurationError, match="missing or old") as caught:
        postgresql_place.open()
    assert "keyclave state upgrade" in str(caught.value.next_step)
    upgrade(postgresql_place.url)
    postgresql_place.open().close()
