"""``keyclave migrate``, from the plan to the end of the source (FR-012)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keyclave.cli import migration_view
from keyclave.cli.session import Session
from keyclave.models import KeyMigrationRecord

from core.tests.cli.conftest import Run

OTHER = '[backends.other]\nplugin = "software"\n'
AWAY = '[backends.other]\nplugin = "no-such-plugin"\n'
ALICE, BOB = ("--principal", "alice"), ("--principal", "bob")


@pytest.fixture(autouse=True)
def _two_backends(config: Path) -> None:
    config.write_text(config.read_text() + OTHER)


@pytest.fixture
def migrated(run: Run) -> str:
    """The id of a completed migration of the key ``release``."""
    run("keys", "create", "release", "--algorithm", "ED25519", "--wrappable")
    plan = json.loads(run(*ALICE, "migrate", "plan", "release", "--to", "other", "--json").stdout)
    run(*BOB, "migrate", "approve", plan["plan_id"], "--justification", "wanted", "--json")
    (record,) = json.loads(run(*ALICE, "migrate", "run", plan["plan_id"], "--json").stdout)
    assert record["status"] == "COMPLETED"
    return str(record["migration_id"])


def test_fr_012_a_plan_is_read_approved_and_run(run: Run) -> None:
    run("keys", "create", "release", "--algorithm", "ED25519", "--wrappable")
    run("keys", "create", "nightly", "--algorithm", "ED25519")
    text = run(*ALICE, "migrate", "plan", "release", "nightly", "--to", "other").stdout
    assert "2 of 2 versions can go to backend 'other' (SOFTWARE)" in text
    assert "WRAPPED" in text
    assert "REKEYED" in text
    assert "nightly: Its public key changes" in text
    plan = text.partition("migrate approve ")[2].split()[0]
    shown = run(*BOB, "migrate", "show", plan).stdout
    assert shown == text
    assert "Made by alice at" in shown
    refused = run(*ALICE, "migrate", "approve", plan, "--justification", "mine", code=6)
    assert "another than its requester" in refused.stderr
    assert "not approved" in run(*ALICE, "migrate", "run", plan, code=6).stderr
    for justification in ("seen", "ok"):
        agreed = run(*BOB, "migrate", "approve", plan, "--justification", justification).stdout
        assert f"keyclave migrate run {plan}" in agreed
    shown = run("migrate", "show", plan).stdout
    assert shown.startswith(text.partition("Somebody else")[0])
    *_, seen, ok, then = shown.splitlines()
    assert (seen[:19], seen[-6:]) == ("Approved by bob at ", ": seen")
    assert ok.endswith(": ok")
    assert then == f"Carry it out: keyclave migrate run {plan}"
    assert run(*ALICE, "migrate", "run", plan).stdout.count("COMPLETED") == 2
    assert run("migrate", "list").stdout.count("COMPLETED") == 2
    assert "It was run: `keyclave migrate list` shows" in run("migrate", "show", plan).stdout
    assert json.loads(run("migrate", "show", plan, "--json").stdout)["approvals"][0]["approved_by"] == "bob"
    (row,) = run("migrate", "list", "--plans").stdout.splitlines()
    assert (row.split("\t")[0], row.split("\t")[-1]) == (plan, "bob")
    assert json.loads(run("migrate", "list", "--plans", "--json").stdout)[0]["approvals"][0]["approved_by"] == "bob"
    (shown,) = json.loads(run("keys", "show", "release", "--json").stdout)
    assert shown["backend_id"] == "other"


def test_fr_012_what_is_not_completed_is_code_1(run: Run) -> None:
    run("keys", "create", "release", "--algorithm", "ED25519", "--wrappable")
    plan = json.loads(run(*ALICE, "migrate", "plan", "release", "--to", "other", "--json").stdout)["plan_id"]
    run(*BOB, "migrate", "approve", plan, "--justification", "ok")
    run("keys", "revoke", "release", "--reason", "stolen", "--yes")
    ended = run(*ALICE, "migrate", "run", plan, code=1)
    assert "FAILED" in ended.stdout
    assert "not ended" not in ended.stderr


def test_fr_012_what_had_to_wait_goes_on_when_the_plan_is_run_again(run: Run) -> None:
    run("keys", "create", "release", "--algorithm", "ED25519", "--wrappable")
    plan = json.loads(run(*ALICE, "migrate", "plan", "release", "--to", "other", "--json").stdout)["plan_id"]
    run(*BOB, "migrate", "approve", plan, "--justification", "ok")
    run("keys", "rotate", "release", "--validation-period", "1h")
    said = run(*ALICE, "migrate", "run", plan, code=1)
    assert "IN_PROGRESS" in said.stdout
    assert said.stderr.endswith("1 of 1 not ended: run the plan again to go on with it.\n")
    assert "not ended" not in run(*ALICE, "migrate", "run", plan, "--json", code=1).stderr
    run("keys", "rollback", "release", "--reason", "the migration comes first")
    assert "COMPLETED" in run(*ALICE, "migrate", "run", plan).stdout


def test_fr_012_a_migration_is_proven_and_rolled_back(run: Run, migrated: str) -> None:
    looks = run("migrate", "verify", migrated).stdout
    assert "both keys signed the challenge" in looks
    assert len(json.loads(run("migrate", "verify", migrated, "--json").stdout)["looks"]) == 3
    text = run(*ALICE, "migrate", "rollback", migrated, "--reason", "too slow").stdout
    assert "backend 'software' keeps it" in text
    assert "'other' lists it no more" in text
    assert "too slow" in run("migrate", "list").stdout
    assert "Nothing is left to do" in run("migrate", "rollback", migrated, "--reason", "again", code=3).stderr


def test_fr_012_a_source_is_retired_with_a_confirmation(run: Run, migrated: str) -> None:
    assert "needs a confirmation" in run("migrate", "retire", migrated, code=2).stderr
    assert "kept until" in run("migrate", "retire", migrated, "--yes", code=6).stderr


def test_fr_012_whoever_approves_reads_the_exception(run: Run) -> None:
    run("keys", "create", "release", "--algorithm", "ED25519")
    reason = "the token is at its end"
    text = run(*ALICE, "migrate", "plan", "release", "--to", "other", "--exception", reason).stdout
    plan = text.partition("migrate approve ")[2].split()[0]
    assert f"with an exception: {reason}." in run(*BOB, "migrate", "show", plan).stdout


def test_fr_012_what_cannot_be_reached_is_named_with_its_key(run: Run, config: Path, migrated: str) -> None:
    config.write_text(config.read_text().replace(OTHER, AWAY))
    for command in (("verify", migrated), ("rollback", migrated, "--reason", "not yet")):
        refused = run("migrate", *command, code=4).stderr
        assert refused.startswith(f"Error: {'verify' if 'verify' in command else 'revert'}_migration backend 'other'")
        assert "key 'release': " in refused


def test_fr_012_a_plan_in_which_nothing_can_go_is_neither_approved_nor_run(run: Run) -> None:
    run("keys", "create", "release", "--algorithm", "ED25519")
    plan = json.loads(run(*ALICE, "migrate", "plan", "release", "--to", "software", "--json").stdout)["plan_id"]
    assert "it is kept in 'software' already" in run("migrate", "show", plan).stdout
    for code, *command in ((2, "approve", plan, "--justification", "wanted"), (6, "run", plan)):
        refused = run(*BOB, "migrate", *command, code=code).stderr
        assert "nothing in this plan can be migrated" in refused
        assert f"Next: `keyclave migrate show {plan}` says why." in refused


def test_fr_012_what_was_rolled_back_says_so(run: Run, migrated: str) -> None:
    assert run("migrate", "list").stdout.split("\t")[7].startswith("20")
    run("migrate", "rollback", migrated, "--reason", "not yet")
    assert "was rolled back since: backend 'software' keeps the key" in run("migrate", "verify", migrated).stdout
    assert run("migrate", "list").stdout.split("\t")[7] == "-"
    refused = run("migrate", "retire", migrated, "--yes", code=3).stderr
    assert "Next: Nothing is left to do: the key is where it was" in refused


def test_an_id_of_nothing_is_a_wrong_argument(run: Run) -> None:
    nothing = "00000000-0000-0000-0000-000000000000"
    assert "keyclave migrate list --plans" in run("migrate", "run", nothing, code=2).stderr
    run("migrate", "show", nothing, code=2)
    run("migrate", "verify", nothing, code=2)
    run("migrate", "retire", nothing, "--yes", code=2)
    run("migrate", "run", "not an id", code=2)
    run("migrate", "plan", "--to", "other", code=2)


def test_somebody_at_a_terminal_is_told_how_far_it_is(
    run: Run, migrated: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = json.loads(run("migrate", "list", "--json").stdout)
    assert record["migration_id"] == migrated
    monkeypatch.setattr(migration_view, "is_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take the captured stream for a terminal
    with migration_view.told(Session()) as progress:
        assert progress is not None
        progress(KeyMigrationRecord.model_validate_json(json.dumps(record)), 1, 2)
    assert "Migrating release" in capsys.readouterr().err
    session = Session()
    session.as_json = True
    with migration_view.told(session) as nobody:
        assert nobody is None
