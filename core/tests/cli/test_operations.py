"""The commands of an operator: backends, health, audit, recover, doctor, state."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from uuid import uuid4

import keyclave
import pytest
from click.testing import CliRunner, Result
from keyclave.cli import recover
from keyclave.cli.root import app
from keyclave.plugin import CONTRACTS
from keyclave.services.rotation import service as rotation
from keyclave.state.records import StoredIntent

from core.tests.services.clock import Clock
from core.tests.services.foreign_keys import foreign_settings
from core.tests.services.long_ago import long_ago

Run = Callable[..., Result]


@pytest.fixture
def broken(config: Path) -> None:
    """A second backend, whose plugin is not installed."""
    config.write_text(config.read_text() + '\n[backends.hsm]\nplugin = "no-such-plugin"\n')


@pytest.mark.usefixtures("broken")
def test_backends_are_listed_with_evidence_or_error(run: Run) -> None:
    good, bad = json.loads(run("backends", "list", "--json").stdout)
    assert (good["backend_id"], good["security_level"], good["availability_status"]) == (
        "software",
        "SOFTWARE",
        "AVAILABLE",
    )
    assert (bad["backend_id"], bad["provider_type"], bad["availability_status"]) == (
        "hsm",
        "no-such-plugin",
        "UNAVAILABLE",
    )
    assert bad["error"]
    lines = [line.split("\t") for line in run("backends", "list").stdout.splitlines()]
    assert [line[:2] for line in lines] == [["software", "software"], ["hsm", "no-such-plugin"]]
    assert lines[1][4] == bad["error"]


@pytest.mark.usefixtures("broken")
def test_a_backend_is_shown_with_the_keys_that_it_takes(run: Run) -> None:
    shown = json.loads(run("backends", "show", "software", "--json").stdout)
    assert shown["security_evidence"]
    assert shown["new_keys"]["ECDSA_P256"]["accepted"] is True
    assert "ECDSA_P256   yes" in run("backends", "show", "software").stdout
    assert "security level: SOFTWARE" in run("backends", "show", "software").stdout
    run("backends", "show", "hsm", code=4)
    assert "Next: Use one of software, hsm, or configure it." in run("backends", "show", "none", code=2).stderr


@pytest.mark.usefixtures("broken")
def test_selection_gives_its_reasons(run: Run) -> None:
    selection = json.loads(run("backends", "select", "--algorithm", "ED25519", "--json").stdout)
    assert selection["chosen"] == "software"
    assert {c["backend_id"]: c["accepted"] for c in selection["candidates"]} == {"software": True, "hsm": False}
    assert "Chosen: software" in run("backends", "select").stdout
    explained = run("backends", "select", "--explain").stdout
    assert "software:\n  software is allowed in local\n  it authenticates by PROCESS_IDENTITY\n" in explained
    assert "  taken: available, allowed, and of the required level\n" in explained
    assert "hsm:\n  no-such-plugin is allowed in local\n  refused: " in explained or "hsm:\n  refused: " in explained
    run("backends", "select", "--algorithm", "DES", code=2)


def test_no_backend_for_a_key_is_refused_by_policy(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace('type = "local"', 'type = "local"\nrequired_level = "HSM"'))
    answer = json.loads(run("backends", "select", "--json", code=6).stdout)
    assert answer["chosen"] is None
    assert "FR-014" in answer["candidates"][0]["reason"]
    assert "Chosen: none" in run("backends", "select", code=6).stdout
    assert "no: " in run("backends", "show", "software").stdout
    assert "FR-014" in run("keys", "create", "k", "--algorithm", "ED25519", code=6).stderr


def test_health_says_what_is_available(run: Run, broken: None, config: Path) -> None:
    answer = json.loads(run("health", "--json", code=4).stdout)
    assert {backend_id: result["status"] for backend_id, result in answer.items()} == {
        "software": "AVAILABLE",
        "hsm": "UNAVAILABLE",
    }
    assert answer["hsm"]["detail"].startswith("plugin 'no-such-plugin'")  # its row names the backend
    assert [answer["hsm"][name] for name in ("availability_status", "circuit_opened_at")] == ["DEGRADED", None]
    again = [line.split("\t") for line in run("health", code=4).stdout.splitlines()]
    assert [(line[0], line[1], line[3], line[4]) for line in again] == [
        ("software", "AVAILABLE", "AVAILABLE", "-"),
        ("hsm", "UNAVAILABLE", "UNAVAILABLE", "-"),
    ]
    config.write_text(config.read_text().partition("\n[backends.hsm]")[0])
    assert run("health").stdout.split("\t")[:2] == ["software", "AVAILABLE"]


def test_the_audit_log_is_listed_and_filtered(run: Run) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    created = json.loads(run("keys", "create", "l", "--algorithm", "ED25519", "--json").stdout)
    for _ in range(3):
        run("keys", "sign", "k", "-", stdin=b"x")
    run("keys", "sign", "missing", "-", stdin=b"x", code=3)
    everything = json.loads(run("audit", "list", "--json").stdout)
    kinds = [record["operation_type"] for record in everything]
    assert kinds == ["KEY_GENERATION"] * 2 + ["SIGN"] * 4
    assert everything[-1]["status"] == "FAILED"
    assert everything[-1]["error_message"].startswith("KeyNotFound")
    (only,) = json.loads(run("audit", "list", "--key", "l", "--json").stdout)
    assert only["key_handle_reference"] == created["key_id"]
    assert len(run("audit", "list", "--operation", "SIGN").stdout.splitlines()) == 4
    assert len(run("audit", "list", "--operation", "SIGN", "--limit", "2").stdout.splitlines()) == 2
    assert json.loads(run("audit", "list", "--limit", "2", "--json").stdout) == everything[-2:]
    assert json.loads(run("audit", "list", "--limit", "2", "--all", "--json").stdout) == everything
    assert run("audit", "list", "--until", "2000-01-01").stdout == ""
    assert len(run("audit", "list", "--since", "2000-01-01T00:00:00+0000").stdout.splitlines()) == 6
    for time in ("2000-01-01T00:00", "2000-01-01 00:00", "2000-01-01 00:00:00"):
        assert len(run("audit", "list", "--since", time, "--operation", "sign").stdout.splitlines()) == 4
    refused = run("audit", "list", "--operation", "SGIN", code=2).stderr
    assert "unknown type of operation 'SGIN'" in refused
    assert "KEY_GENERATION" in refused
    run("audit", "list", "--since", "yesterday", code=2)
    run("audit", "list", "--key", "missing", code=3)


def test_a_changed_audit_log_ends_with_7(run: Run, tmp_path: Path) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    run("keys", "sign", "k", "-", stdin=b"x")
    good = run("audit", "verify").stdout
    assert good.startswith("2 records, the chain is whole; its last hash is ")
    assert json.loads(run("audit", "verify", "--json").stdout)["chains"][0]["hash"] in good
    assert json.loads(run("doctor", "--json").stdout)["ok"]
    (database,) = tmp_path.rglob("*.db")
    with sqlite3.connect(database) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        table = next(
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if {"sequence", "record", "occurred_at"}
            <= {column[1] for column in connection.execute(f'PRAGMA table_info("{name}")')}
        )
        connection.execute(f'UPDATE "{table}" SET occurred_at = occurred_at + 1 WHERE sequence = 1')
    connection.close()
    bad = run("audit", "verify", code=7)
    assert "Record 1: COLUMN" in bad.stdout
    assert "2 records, 1 fault." in bad.stdout
    answer = json.loads(run("audit", "verify", "--json", code=7).stdout)
    assert (answer["ok"], answer["fault_count"], answer["faults"][0]["sequence"]) == (False, 1, 1)
    problems = [f for f in json.loads(run("doctor", "--json", code=1).stdout)["findings"] if f["status"] == "problem"]
    assert [problem["area"] for problem in problems] == ["audit"]


@pytest.mark.parametrize("audited", ["true", "false"])
def test_a_key_that_was_taken_away_ends_with_7(run: Run, config: Path, tmp_path: Path, audited: str) -> None:
    """Copies of another key make up for its epochs, so that only the proof notices, with or without an audit log."""
    config.write_text(config.read_text() + f"[environment.audit]\nenabled = {audited}\n")
    run("keys", "create", "kept", "--algorithm", "ED25519")  # at epoch 1
    run("keys", "create", "taken", "--algorithm", "ED25519")
    assert json.loads(run("doctor", "--json").stdout)["ok"]
    (database,) = tmp_path.rglob("*.db")
    with sqlite3.connect(database) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        (epochs,) = connection.execute(
            "SELECT keys.epoch + key_versions.epoch FROM keys JOIN key_versions USING (key_id) WHERE name = 'taken'"
        ).fetchone()
        connection.execute("DELETE FROM key_versions WHERE key_id = (SELECT key_id FROM keys WHERE name = 'taken')")
        connection.execute("CREATE TABLE bare AS SELECT * FROM keys WHERE name = 'kept'")
        for _ in range(epochs):
            connection.execute("INSERT INTO bare SELECT * FROM keys WHERE name = 'kept'")
        connection.execute("DROP TABLE keys")
        connection.execute("ALTER TABLE bare RENAME TO keys")
    connection.close()
    bad = run("audit", "verify", code=7)
    assert "State: KEYS: a row of table keys is there twice." in bad.stdout
    assert json.loads(run("audit", "verify", "--json", code=7).stdout)["faults"][0]["kind"] == "KEYS"
    problems = [f for f in json.loads(run("doctor", "--json", code=1).stdout)["findings"] if f["status"] == "problem"]
    assert [problem["area"] for problem in problems] == ["keys", "audit"]
    assert "1 key in backend 'software' that the state does not know, such as software:" in problems[0]["text"]


def test_nothing_is_open_after_everything_ended(run: Run) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    assert run("recover").stdout == "Nothing is open.\n"
    assert json.loads(run("recover", "--json").stdout) == {"resolved": [], "open": [], "waiting": []}
    assert run("recover", "--list").stdout == ""


def test_a_validation_period_is_not_unfinished(run: Run) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    run("keys", "rotate", "k", "--validation-period", "1h")
    (waiting,) = json.loads(run("recover", "--json").stdout)["waiting"]
    assert (waiting["kind"], waiting["step"], waiting["abandoned"]) == ("rotate", "window", False)
    assert (waiting["key_name"], waiting["process"]) == ("k", None)
    assert "Waiting: rotate of key 'k' (" in run("recover").stdout
    columns = run("recover", "--list").stdout.rstrip("\n").split("\t")
    assert columns[:2] == ["rotate", "window"]
    assert columns[3:5] == ["k", "software"]
    assert columns[5].startswith("0:00:")
    assert columns[-1] == "needs none"
    assert "ok      recovery: no change is open" in run("doctor").stdout


def test_doctor_notes_which_keys_are_due(run: Run) -> None:
    with long_ago():
        run("keys", "create", "k", "--algorithm", "ED25519")
        run("keys", "create", "rotating", "--algorithm", "ED25519")
    run("keys", "rotate", "rotating", "--validation-period", "1h")
    found = {f["area"]: f for f in json.loads(run("doctor", "--json").stdout)["findings"]}["rotation"]
    assert found["status"] == "note"
    assert found["text"].startswith("1 key due, since 20")
    assert "rotate-due" in found["next_step"]
    run("keys", "rotate-due")
    assert "ok      rotation: no key is due" in run("doctor").stdout


def test_fr_022_doctor_notes_dates_that_a_clock_which_was_ahead_has_left(run: Run) -> None:
    with long_ago(days=-36_500):
        run("keys", "create", "k", "--algorithm", "ED25519")
    with long_ago(days=-1):
        run("keys", "create", "l", "--algorithm", "ED25519")
    said = run("doctor").stdout
    assert "note    rotation: 2 keys due later than the interval ends: the clock was ahead" in said
    run("keys", "rotate", "l", "--now")
    run("keys", "rotate", "k", "--now")
    assert "ok      rotation: no key is due" in run("doctor").stdout


def test_fr_022_doctor_notes_that_the_clock_is_not_trusted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "by its age" not in run("doctor").stdout
    run("keys", "confirm-clock")
    assert "by its age" not in run("doctor").stdout
    Clock(monkeypatch, rotation).go(seconds=40 * 86_400)
    said = run("doctor").stdout
    assert "note    rotation: nothing is destroyed by its age: the clock went ahead" in said
    assert "Next: Run `keyclave keys confirm-clock` if the clock is right." in said
    run("keys", "confirm-clock")
    assert "by its age" not in run("doctor").stdout


def test_an_age_is_none_where_the_clock_went_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    run("keys", "rotate", "k", "--validation-period", "1h")
    Clock(monkeypatch, recover).go(seconds=-86_400)
    assert run("recover", "--list").stdout.split("\t")[5] == "the clock went back"


def test_what_a_living_process_is_doing_stays_open_until_it_ends(run: Run, config: Path) -> None:
    now = datetime.now(UTC)
    with keyclave.open(config) as other:
        handle = other.keys.create("k", "ED25519")
        intent = StoredIntent(
            operation_id=uuid4(),
            kind="revoke",
            step="begun",
            key_id=handle.key_id,
            from_version=None,
            to_version=None,
            backend_id="software",
            label=None,
            parameters=other._owner.parameters(),
            principal="tester",
            created_at=now,
            updated_at=now,
            outcome=None,
        )
        with other._store.write() as state:
            state.intents.add(intent)
        (found,) = json.loads(run("recover", "--json", code=1).stdout)["open"]
        assert (found["operation_id"], found["kind"]) == (str(intent.operation_id), "revoke")
        assert (found["abandoned"], found["principal"]) == (False, "tester")
        process = f"{gethostname()}:{os.getpid()}"
        assert (found["key_name"], found["process"]) == ("k", process)
        columns = run("recover", "--list", code=1).stdout.rstrip("\n").split("\t")
        assert columns[-2:] == ["tester", f"at work, {process}"]
        said = run("recover", code=1).stdout
        assert f"Open: revoke of key 'k' ({handle.key_id}) in backend 'software', at step 'begun'." in said
        assert "PROBLEM recovery: unfinished: 1 change" in run("doctor", code=1).stdout
    settings = config.read_text()
    config.write_text(settings.replace("[backends.software]", "[backends.renamed]"))
    assert run("recover", code=1).stderr.count("stays open") == 1
    config.write_text(settings)
    resolved = f"Resolved: revoke of key 'k' ({handle.key_id}) in backend 'software'.\n"
    assert run("recover").stdout == f"{resolved}Nothing is open.\n"
    records = json.loads(run("audit", "list", "--operation", "RECOVER", "--json").stdout)
    assert [record["status"] for record in records] == ["FAILED", "SUCCESS"]
    assert {record["key_handle_reference"] for record in records} == {str(handle.key_id)}


def test_doctor_notes_that_nothing_is_audited(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + "\n[environment.audit]\nenabled = false\n")
    assert "note    audit: off" in run("doctor").stdout


def test_doctor_finds_nothing_wrong(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYCLAVE_BACKENDS__SOFTWARE__PASSPHRASE_FILE", str(config.with_name("passphrase")))
    config.with_name("passphrase").write_text("correct horse battery staple")
    config.with_name("passphrase").chmod(0o600)
    said = run("doctor").stdout
    assert said.endswith("\nNothing is wrong.\n")
    assert f"settings: file: {config}" in said
    assert "environment variables: KEYCLAVE_BACKENDS__SOFTWARE__PASSPHRASE_FILE" in said
    assert "correct horse" not in said
    assert "backend software: opened, plugin software, SOFTWARE: " in said
    assert "plugin software: loaded (keyclave-software " in said
    areas = [finding["area"] for finding in json.loads(run("doctor", "--json").stdout)["findings"]]
    for area in ("keyclave", "settings", "environment", "state", "backend software", "new keys", "recovery", "audit"):
        assert area in areas


@pytest.mark.usefixtures("broken")
def test_doctor_finds_a_broken_backend(run: Run) -> None:
    result = run("doctor", code=1)
    assert "PROBLEM backend hsm: " in result.stdout
    assert "Next: " in result.stdout
    assert result.stdout.splitlines()[-1] == "2 problems."


def test_doctor_finds_a_plugin_that_was_made_for_another_contract(
    run: Run, config: Path, installed: Callable[..., None]
) -> None:
    installed("acme")
    config.write_text(config.read_text() + '[backends.later]\nplugin = "acme"\ncontract = "2031.01"\n')
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    problems = {finding["area"]: finding for finding in findings if finding["status"] == "problem"}
    assert set(problems) == {"backend later", "plugin acme"}
    for problem in problems.values():
        assert (
            "at stage contract: backend 'later': it was made for contract 2031.01, and keyclave " in problem["text"]
        )
        assert f"works with {' and '.join(CONTRACTS)}" in problem["text"]
        assert problem["next_step"].startswith("Upgrade whichever")


def test_doctor_finds_that_no_backend_may_take_a_new_key(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace('type = "local"', 'type = "local"\nrequired_level = "HSM"'))
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    (problem,) = [finding for finding in findings if finding["status"] == "problem"]
    assert problem["area"] == "new keys"
    assert "software: " in problem["text"]
    assert "FR-014" in problem["text"]
    assert "backends select" in problem["next_step"]


def test_doctor_finds_keys_whose_backend_is_not_configured_any_more(run: Run, config: Path) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    assert "ok      keys: 1 key in use, in backends that are configured" in run("doctor").stdout
    config.write_text(config.read_text().replace("[backends.software]", "[backends.renamed]"))
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    (problem,) = [finding for finding in findings if finding["status"] == "problem"]
    assert (problem["area"], problem["text"]) == (
        "keys",
        "1 key in use in backend 'software', which is not configured",
    )
    assert "[backends.software]" in problem["next_step"]


def test_doctor_finds_that_a_backend_has_none_of_its_keys(run: Run, config: Path) -> None:
    """As where the settings name another region, account or token: the backend itself is well."""
    run("keys", "create", "k", "--algorithm", "ED25519")
    elsewhere = f'[backends.software]\nplugin = "software"\nkeystore = "{config.parent / "elsewhere"}"'
    config.write_text(config.read_text().replace('[backends.software]\nplugin = "software"', elsewhere))
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    (problem,) = [finding for finding in findings if finding["status"] == "problem"]
    assert problem["text"] == "backend 'software' does not have key 'k', the newest that should be in it"
    assert "region" in problem["next_step"]


def test_a_key_that_its_backend_does_not_have_is_looked_for_where_it_was_made(run: Run, config: Path) -> None:
    run("keys", "create", "s", "--algorithm", "ECDSA_P256")
    run("keys", "create", "e", "--algorithm", "AES_256")
    Path("file").write_bytes(b"What the file says.")
    elsewhere = f'[backends.software]\nplugin = "software"\nkeystore = "{config.parent / "elsewhere"}"'
    config.write_text(config.read_text().replace('[backends.software]\nplugin = "software"', elsewhere))
    for command in (("sign", "s"), ("encrypt", "e")):
        said = run("keys", *command, "file", "-o", "out", code=3).stderr
        assert "Next: Let [backends.software] name the region, account, token or directory" in said
    assert "Next: Run `keyclave keys list`" in run("keys", "sign", "no-such", "file", "-o", "out", code=3).stderr


def test_doctor_does_not_miss_the_backend_of_a_revoked_key(run: Run, config: Path) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    run("keys", "revoke", "k", "--reason", "the backend is retired", "--yes")
    config.write_text(config.read_text().replace("[backends.software]", "[backends.renamed]"))
    assert "ok      keys: 0 keys in use" in run("doctor").stdout


def test_doctor_finds_wrong_settings_and_looks_no_further(run: Run, config: Path) -> None:
    config.write_text("[enviroment]\n")
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    assert [(f["area"], f["status"]) for f in findings] == [("keyclave", "ok"), ("settings", "problem")]
    assert "enviroment" in findings[1]["text"]
    assert findings[1]["next_step"]


def test_doctor_finds_a_database_that_cannot_be_used(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("[state]", '[state]\nurl = "mysql://user:hunter2@localhost/keys"'))
    said = run("doctor", "--json", code=1).stdout
    problems = [finding for finding in json.loads(said)["findings"] if finding["status"] == "problem"]
    assert {problem["area"] for problem in problems} == {"state"}
    assert all(problem["next_step"] for problem in problems)
    assert "hunter2" not in said


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_doctor_finds_a_state_that_others_can_read(run: Run, tmp_path: Path) -> None:
    run("keys", "list")
    (tmp_path / "state").chmod(0o755)
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    assert findings[-1]["area"] == "state"
    assert "0755" in findings[-1]["text"]


@pytest.mark.usefixtures("bare_machine")
def test_doctor_notes_what_is_only_a_default() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "note    settings: no backend is configured" in result.stdout
    assert "Warning: no backend is configured" in result.stderr


@pytest.mark.usefixtures("bare_machine")
def test_a_warning_is_json_where_that_was_asked_for() -> None:
    result = CliRunner().invoke(app, ["keys", "list", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    environment, backend = (json.loads(line)["warning"] for line in result.stderr.splitlines())
    assert environment.startswith("nothing shows a cloud or Kubernetes")
    assert backend.startswith("no backend is configured")


def test_the_state_is_upgraded(run: Run, tmp_path: Path) -> None:
    said = run("state", "upgrade").stdout
    assert "has schema revision" in said
    (database,) = tmp_path.rglob("*.db")
    answer = json.loads(run("state", "upgrade", "--json").stdout)
    assert str(database) in answer["state"]
    run("keys", "create", "k", "--algorithm", "ED25519")
    run("state", "upgrade")
    assert run("keys", "list").stdout.startswith("k\t")


def test_a_config_file_that_is_not_there_is_a_configuration_error() -> None:
    result = CliRunner().invoke(app, ["--config", "missing.toml", "keys", "list"])
    assert result.exit_code == 2
    assert "missing.toml cannot be read" in result.stderr
    assert "with --config or KEYCLAVE_CONFIG" in result.stderr


@pytest.fixture
def narrow(config: Path, tmp_path: Path, installed: Callable[..., None]) -> None:
    """A backend whose identity lacks two permissions."""
    installed("foreign")
    settings = foreign_settings(
        tmp_path / "shared",
        deletion_days="7",
        missing="acme:Sign acme:List",
        credential_source="the file of the test",
    )
    config.write_text(config.read_text() + settings)


@pytest.mark.usefixtures("narrow")
def test_the_doctor_says_which_permission_is_missing(run: Run) -> None:
    findings = json.loads(run("doctor", "--json", code=1).stdout)["findings"]
    of_backend = [f for f in findings if f["area"] == "backend shared"]
    problems = [f for f in of_backend if f["status"] == "problem"]
    assert [f["text"] for f in problems] == [
        "the permission acme:Sign is missing",
        "the permission acme:List is missing",
    ]
    assert all("`keyclave doctor --policy shared`" in f["next_step"] for f in problems)
    (note,) = [f["text"] for f in of_backend if f["status"] == "note"]
    assert note == "not tried, since trying would do it: acme:Destroy"
    assert "2 problems." in run("doctor", code=1).stdout


def test_the_doctor_says_that_no_permission_is_missing(
    run: Run, config: Path, tmp_path: Path, installed: Callable[..., None]
) -> None:
    installed("foreign")
    config.write_text(config.read_text() + foreign_settings(tmp_path / "shared", deletion_days="7"))
    assert "backend shared: no permission is missing" in run("doctor").stdout


@pytest.mark.usefixtures("narrow")
def test_the_doctor_prints_the_policy_of_a_backend_or_of_a_plugin(run: Run, tmp_path: Path) -> None:
    assert run("doctor", "--policy", "shared").stdout == '{"allow": ["acme:Use:shared"]}\n'
    assert run("doctor", "--policy", "acme-foreign").stdout == '{"allow": ["acme:*"]}\n'
    answer = json.loads(run("doctor", "--policy", "shared", "--json").stdout)
    assert answer == {"name": "shared", "policy": '{"allow": ["acme:Use:shared"]}'}
    assert "'software' has no policy of permissions" in run("doctor", "--policy", "software", code=1).stderr
    refused = run("doctor", "--policy", "nothing", code=2).stderr
    assert "neither a configured backend nor an installed plugin is called 'nothing'" in refused
    assert "Name one of the backends software" in refused
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("narrow")
def test_a_backend_shows_where_its_credential_came_from(run: Run) -> None:
    assert "credential source: the file of the test" in run("backends", "show", "shared").stdout
    assert "credential source" not in run("backends", "show", "software").stdout
