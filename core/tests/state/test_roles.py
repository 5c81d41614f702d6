"""The role of an application can do all that Keyclave needs, and nothing to the audit log's past."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keyclave
import psycopg
import pytest
from click.testing import CliRunner
from keyclave.cli.root import app as cli
from keyclave.errors import ConfigurationError
from keyclave.state.roles import grant, may_rewrite_log, missing_rights

from core.tests.configuring import settings_of
from core.tests.databases import Place
from core.tests.services.long_ago import long_ago
from tests.services.postgresql import Server

pytestmark = pytest.mark.needs("postgresql")

ROLE = 'odd "role" name'
USER = "odd%20%22role%22%20name@"


REFUSED = (
    "UPDATE operations SET record = record",
    "DELETE FROM operations",
    "TRUNCATE operations",
    "TRUNCATE audit_head CASCADE",
    "DELETE FROM audit_head",
    "DELETE FROM keys",
    "DROP TRIGGER operations_immutable ON operations",
    "DROP TABLE operations",
    "DROP FUNCTION operations_immutable() CASCADE",
    "CREATE OR REPLACE FUNCTION operations_immutable() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER another BEFORE INSERT ON operations EXECUTE FUNCTION operations_immutable()",
    "CREATE RULE another AS ON INSERT TO operations DO INSTEAD NOTHING",
    "ALTER TABLE operations DISABLE TRIGGER ALL",
    "ALTER TABLE operations DROP COLUMN hash",
    "ALTER TABLE operations OWNER TO CURRENT_USER",
    "SET session_replication_role = replica",
    "UPDATE alembic_version SET version_num = '0001'",
)


@pytest.fixture
def app(server: Server, postgresql_place: Place) -> Iterator[Place]:
    """The database as the role sees it."""
    server.execute('CREATE ROLE "odd ""role"" name" LOGIN')
    with postgresql_place.raw() as connection:
        connection.execute('GRANT ALL ON ALL TABLES IN SCHEMA public TO "odd ""role"" name"')
    grant(postgresql_place.url, ROLE)
    yield replace(postgresql_place, url=postgresql_place.url.replace("keyclave@", USER))
    with postgresql_place.raw() as connection:
        connection.execute('DROP OWNED BY "odd ""role"" name"')
    server.execute('DROP ROLE "odd ""role"" name"')


def test_the_role_does_all_that_an_application_does(app: Place, tmp_path: Path) -> None:
    config = tmp_path / "keyclave.toml"
    config.write_text(settings_of(tmp_path / "state", url=app.url, key_file=app.key_file))
    with keyclave.open(config) as clave, keyclave.open(config) as other:
        with long_ago():
            clave.keys.create("k", "ED25519")
            clave.keys.sign("k", b"message")
            other.keys.sign("k", b"message")  # on a chain that it makes for itself
            clave.rotation.rotate("k")
        other.keys.revoke("k", "test")
        clave.keys.destroy("k", version=1)
        clave.recovery.run()
        assert clave.audit.verify().ok
        assert len(clave.audit.verify().chains) == 2


@pytest.mark.parametrize("statement", REFUSED)
def test_the_role_may_not_touch_the_past(app: Place, statement: str) -> None:
    app.open().close()
    with app.raw() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() is not None


def test_who_could_rewrite_the_log_is_known(app: Place, postgresql_place: Place) -> None:
    assert not may_rewrite_log(app.url)
    assert may_rewrite_log(postgresql_place.url)


def test_a_right_that_the_role_lacks_is_named_by_the_doctor(app: Place, tmp_path: Path) -> None:
    """As after an upgrade that made a table, until the rights are given anew."""
    config = tmp_path / "keyclave.toml"
    config.write_text(settings_of(tmp_path / "state", url=app.url, key_file=app.key_file))
    keyclave.open(config).close()
    assert missing_rights(app.url) == ()
    with psycopg.connect(app.url.replace(USER, "keyclave@"), autocommit=True) as owner:
        owner.execute('REVOKE INSERT ON operations, keys FROM "odd ""role"" name"')
    assert set(missing_rights(app.url)) == {"INSERT on operations", "INSERT on keys"}
    said = CliRunner().invoke(cli, ["--config", str(config), "doctor"])
    assert said.exit_code == 1
    assert "PROBLEM state: the user of the database lacks rights: " in said.stdout
    assert "keyclave state grant ROLE" in said.stdout


def test_a_role_that_can_change_the_log_all_the_same_is_named(server: Server, postgresql_place: Place) -> None:
    server.execute("CREATE ROLE belongs LOGIN IN ROLE keyclave")
    for role in ("keyclave", "belongs"):
        with pytest.raises(ConfigurationError, match=f"role '{role}' can change the audit log"):
            grant(postgresql_place.url, role)
    with postgresql_place.raw() as connection:
        connection.execute("DROP OWNED BY belongs")
    server.execute("DROP ROLE belongs")


INDIRECT = {
    "the owner's role, which it has to take first": "ALTER ROLE other NOINHERIT; GRANT keyclave TO other",
    "a group's right, which it has to take first": "ALTER ROLE other NOINHERIT; GRANT other_group TO other;"
    " GRANT DELETE ON operations TO other_group",
    "one column, as everybody": "GRANT UPDATE (record) ON operations TO PUBLIC",
    "the schema, whose owner may drop what is in it": "ALTER SCHEMA public OWNER TO other",
}


@pytest.mark.parametrize("given", INDIRECT.values(), ids=INDIRECT)
def test_a_role_that_could_change_the_log_by_a_detour_is_named(
    server: Server, postgresql_place: Place, given: str
) -> None:
    server.execute("CREATE ROLE other LOGIN")
    server.execute("CREATE ROLE other_group")
    try:
        with postgresql_place.raw() as connection:
            connection.execute(given)
        with pytest.raises(ConfigurationError, match="role 'other' can change the audit log"):
            grant(postgresql_place.url, "other")
        assert may_rewrite_log(postgresql_place.url.replace("keyclave@", "other@"))
    finally:
        with postgresql_place.raw() as connection:
            connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner; DROP OWNED BY other, other_group")
        server.execute("DROP ROLE other, other_group")


def test_a_role_that_is_not_there_is_named(postgresql_place: Place) -> None:
    with pytest.raises(ConfigurationError, match="no role 'nobody'"):
        grant(postgresql_place.url, "nobody")


def test_who_does_not_own_the_tables_grants_nothing(app: Place) -> None:
    with pytest.raises(ConfigurationError, match="does not own the tables"):
        grant(app.url, ROLE)


def test_a_file_has_no_roles(sqlite_place: Place) -> None:
    with contextlib.closing(sqlite_place.open()), pytest.raises(ConfigurationError, match="no roles"):
        grant(sqlite_place.url, ROLE)
