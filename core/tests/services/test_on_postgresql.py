"""The main job with the state on a server that several instances share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyclave
import psycopg
import pytest
from click.testing import CliRunner, Result
from keyclave.cli.root import app
from keyclave.errors import IntegrityError, KeyDisabled

from core.tests.configuring import settings_of
from tests.services.postgresql import Server

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Iterator[Path]:
    """Settings with a database that has no tables yet."""
    server.execute("CREATE DATABASE main_job")
    path = tmp_path / "keyclave.toml"
    path.write_text(settings_of(tmp_path / "state", url=server.url("main_job")))
    yield path
    server.execute("DROP DATABASE main_job WITH (FORCE)")


def run(config: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["--config", str(config), *arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def test_the_main_job(config: Path, server: Server, tmp_path: Path) -> None:
    assert "keyclave state upgrade" in run(config, "keys", "list", code=2).stderr
    assert "main_job" in json.loads(run(config, "state", "upgrade", "--json").stdout)["state"]
    run(config, "keys", "create", "release", "--algorithm", "ECDSA_P256")
    file, signature = tmp_path / "file", tmp_path / "signature"
    file.write_text("what is signed")
    run(config, "keys", "sign", "release", str(file), "-o", str(signature))
    run(config, "keys", "rotate", "release")
    run(config, "keys", "verify", "release", str(file), str(signature))
    assert json.loads(run(config, "audit", "verify", "--json").stdout)["ok"]
    with psycopg.connect(server.url("main_job")) as connection:
        rows = connection.execute("SELECT version, status FROM key_versions ORDER BY version").fetchall()
    assert rows == [(1, "DEPRECATED"), (2, "ACTIVE")]
    assert not list(tmp_path.rglob("*.db"))


def test_an_application_works_as_a_role_that_cannot_rewrite_the_log(config: Path, server: Server) -> None:
    run(config, "state", "upgrade")
    assert "could change the audit log" in run(config, "doctor").stdout
    server.execute("CREATE ROLE restricted LOGIN")
    granted = json.loads(run(config, "state", "grant", "restricted", "--json").stdout)
    assert granted["role"] == "restricted"
    owner = config.read_text()
    config.write_text(owner.replace("keyclave@", "restricted@"))
    run(config, "keys", "create", "release", "--algorithm", "ECDSA_P256")
    assert "could change the audit log" not in run(config, "doctor").stdout
    assert "does not own the tables" in run(config, "state", "grant", "restricted", code=2).stderr
    config.write_text(owner)


def test_several_chains_are_shown_each_with_its_end(config: Path) -> None:
    run(config, "state", "upgrade")
    with keyclave.open(config) as here, keyclave.open(config) as there:
        here.keys.create("k", "ED25519")
        references = [instance.keys.sign("k", b"message").audit_reference for instance in (here, there, here)]
        found = [record.audit_trail_reference for record in there.audit.records()]
        assert found[-3:] == references
    report = json.loads(run(config, "audit", "verify", "--json").stdout)
    assert [(chain["chain"], chain["sequence"]) for chain in report["chains"]] == [(1, report["records"] - 1), (2, 1)]
    shown = run(config, "audit", "verify").stdout.splitlines()
    assert shown[0] == f"{report['records']} records, 2 chains, each whole."
    assert shown[2] == f"Chain 2: 1 record; its last hash is {report['chains'][1]['hash']}."


def test_what_one_instance_changes_the_other_respects(config: Path) -> None:
    run(config, "state", "upgrade")
    with keyclave.open(config) as here, keyclave.open(config) as there:
        here.keys.create("k", "ED25519")
        assert there.keys.sign("k", b"message").version == 1
        here.rotation.rotate("k")
        result = there.keys.sign("k", b"message")
        assert result.version == 2
        here.keys.revoke("k", "test")
        with pytest.raises(KeyDisabled):
            there.keys.sign("k", b"message")
        with pytest.raises(KeyDisabled):
            there.keys.verify("k", b"message", result.signature)
        assert there.audit.verify().ok


def test_the_instance_key_is_needed_and_is_not_made_anew(config: Path, tmp_path: Path) -> None:
    run(config, "state", "upgrade")
    keyclave.open(config).close()
    (tmp_path / "state" / "instance.key").unlink()
    with pytest.raises(IntegrityError, match="instance key"):
        keyclave.open(config)


def test_a_password_in_the_url_is_not_shown(config: Path) -> None:
    config.write_text(config.read_text().replace("keyclave@", "keyclave:canary@"))
    assert "canary" not in run(config, "state", "upgrade").output
    run(config, "keys", "create", "k", "--algorithm", "ED25519")
    for command in (("doctor",), ("doctor", "--json"), ("backends", "list")):
        assert "canary" not in run(config, *command).output
    config.write_text(config.read_text().replace("main_job", "no_such_database"))
    refused = run(config, "keys", "list", code=1)
    assert "no_such_database" in refused.stderr
    assert "canary" not in refused.output


def test_fr_012_two_instances_migrate_the_keys_of_one_plan(config: Path) -> None:
    config.write_text(config.read_text() + '[backends.other]\nplugin = "software"\n')
    run(config, "state", "upgrade")
    with keyclave.open(config, principal="alice") as alice, keyclave.open(config, principal="bob") as bob:
        for name, wrappable in (("a", True), ("b", False), ("c", True), ("d", False)):
            alice.keys.create(name, "ED25519", wrappable=wrappable)
        plan = alice.migration.plan(["a", "b", "c", "d"], "other")
        bob.migration.approve(plan.plan_id, "wanted")
        with ThreadPoolExecutor(2) as both:
            runs = [both.submit(clave.migration.run, plan.plan_id) for clave in (alice, bob)]
            for each in runs:
                each.result()
        records = alice.migration.run(plan.plan_id)
        assert [record.status.value for record in records] == ["COMPLETED"] * 4
        assert {bob.keys.sign(name, b"message").backend_id for name in "abcd"} == {"other"}
        for record in records:
            bob.migration.rollback(record.migration_id, "test")
        assert list(alice._backends.get("other").list_keys()) == []
        assert {alice.keys.sign(name, b"message").backend_id for name in "abcd"} == {"software"}
        assert alice.recovery.open_intents() == ()
        assert alice.audit.verify().ok
