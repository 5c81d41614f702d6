"""The checker finds nothing in a genuine state, and each break of an invariant, and that only, by its number."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import KeyNotFound

from core.tests.backends.conftest import sites
from tests.invariants.checker import INVARIANTS, Acknowledged, Evidence, violations
from tests.invariants.forger import Forger, forging
from tests.invariants.state import read_state
from tests.sweep.instance import Instance, software_instance
from tests.sweep.operations import OPERATIONS
from tests.sweep.processes import begin, work_again

__all__ = ["sites"]

ROOT = Path(__file__).parents[2]
Break = Callable[[Forger], object]


class Example:
    """An instance in which much has happened, and what was known of it before."""

    def __init__(self, instance: Instance, earlier: Path) -> None:
        self.instance = instance
        self._earlier = earlier

    def evidence(self) -> Evidence:
        inventory = self.instance.inventory()
        lines = self.instance.acknowledged.read_text().splitlines()
        return Evidence(
            now=read_state(self.instance.state),
            before=read_state(self._earlier),
            inventory=inventory,
            levels=dict.fromkeys(inventory, "SOFTWARE"),
            acknowledged=tuple(Acknowledged(**json.loads(line)) for line in lines),
        )

    def key(self, name: str) -> str:
        """Return the id of a key."""
        return next(key for key, row in read_state(self.instance.state).keys.items() if row["name"] == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sites: Mapping[str, Path]) -> Iterator[tuple[Instance, Path]]:
    directory = tmp_path_factory.mktemp("invariants")
    instance = software_instance(directory / "instance")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(sites["foreign"]))
        with closing(keyclave.open(instance.config)) as clave, pytest.raises(KeyNotFound):
            clave.keys.sign("first", b"a record that nothing rests on")
        begin(instance)
        shutil.copytree(instance.state, directory / "earlier")
        with closing(keyclave.open(instance.config)) as clave:
            clave.keys.create("undone", "ED25519", backend="main")
            clave.rotation.rotate("undone", validation_period=timedelta(hours=1))
            clave.rotation.rollback("undone", "test")
            clave.rotation.rotate("k", validation_period=timedelta(hours=1))
            clave.keys.destroy("later", 1)
            clave.keys.cancel_destruction("later", 1)
            migration = OPERATIONS["migrate"]
            assert migration.before is not None
            migration.before(clave)
            migration.run(clave)
        work_again(instance)
        yield instance, directory / "earlier"


@pytest.fixture
def example(made: tuple[Instance, Path], tmp_path: Path) -> Example:
    instance, earlier = made
    return Example(instance.copy(tmp_path / "instance"), earlier)


def broken(evidence: Evidence) -> set[str]:
    """Return the numbers of the invariants that do not hold."""
    return {line.partition(":")[0] for line in violations(evidence)}


def sql(statement: str, *values: object) -> Break:
    return lambda forger: forger.connection.execute(statement, values)


def test_a_genuine_state_breaks_no_invariant(example: Example) -> None:
    assert violations(example.evidence()) == []


def test_every_invariant_is_checked_and_says_what_it_is() -> None:
    numbers = [number for number, _ in INVARIANTS]
    assert sorted(numbers) == sorted(f"I{number}" for number in range(1, 26))
    assert all(check.__doc__ for _, check in INVARIANTS)


def test_it_is_independent_of_what_it_checks() -> None:
    code = (
        "import sys, tests.invariants.__main__; print([m for m in sys.modules if m.startswith(('keyclave', 'msg'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


OLD = "(SELECT key_id FROM keys WHERE name = 'old')"
GONE = "(SELECT key_id FROM keys WHERE name = 'gone')"
K = "(SELECT key_id FROM keys WHERE name = 'k')"
ROWS: dict[str, tuple[Break, set[str]]] = {
    # a second ACTIVE version has not signed either
    "I1": (sql(f"UPDATE key_versions SET status = 'ACTIVE' WHERE version = 1 AND key_id = {OLD}"), {"I5"}),
    "I2": (sql("UPDATE intents SET outcome = 'done' WHERE step = 'window'"), set()),
    "I3": (sql(f"UPDATE key_versions SET public_key = x'00' WHERE key_id = {GONE}"), set()),
    "I4": (sql(f"UPDATE key_versions SET status = 'REVOKED' WHERE version = 1 AND key_id = {OLD}"), set()),
    "I7": (sql("UPDATE key_versions SET not_destroy_before = last_rotation_at WHERE status = 'DEPRECATED'"), set()),
    "I8": (sql("UPDATE keys SET required_security_level = 'HSM' WHERE name = 'k'"), set()),
    "I12": (sql(f"UPDATE intents SET outcome = NULL WHERE kind = 'create' AND key_id = {K}"), set()),
    "I15": (sql("UPDATE migrations SET cryptographic_proof = NULL"), set()),
    # a version whose making nobody began: the record of it tells the same
    "I16": (sql(f"DELETE FROM intents WHERE kind = 'create' AND key_id = {K}"), {"I22"}),
    "I22": (
        sql(
            "INSERT INTO intents SELECT 'x', 'destroy', step, key_id, from_version, 2, backend_id, label, parameters,"
            f" principal, created_at, updated_at, 'done', mac FROM intents WHERE kind = 'create' AND key_id = {OLD}"
        ),
        set(),
    ),
}


@pytest.mark.parametrize("number", ROWS)
def test_a_forged_row_breaks_this_invariant_only(example: Example, number: str) -> None:
    change, also = ROWS[number]
    with forging(example.instance.state) as forger:
        change(forger)
    assert broken(example.evidence()) == {number, *also}


@pytest.mark.parametrize(
    "forged", ["approved_by = (SELECT requested_by FROM migration_plans)", "consumed_at = expires_at + 1"]
)
def test_an_approval_that_is_none_breaks_i15(example: Example, forged: str) -> None:
    with forging(example.instance.state) as forger:
        sql(f"UPDATE migration_approvals SET {forged}")(forger)
    assert broken(example.evidence()) == {"I15"}


def test_a_row_that_was_not_sealed_breaks_i10(example: Example) -> None:
    with forging(example.instance.state, sealed=False) as forger:
        sql("UPDATE keys SET owner_principal = 'somebody' WHERE name = 'k'")(forger)
    assert broken(example.evidence()) == {"I10"}


def test_a_fencing_number_that_is_given_again_breaks_i17(example: Example) -> None:
    columns = "INSERT INTO leases (resource, holder, fencing, expires_at, mac)"
    with forging(example.instance.state) as forger:
        sql(f"{columns} VALUES ('due work', 'one', 3, 1, zeroblob(32))")(forger)
    earlier = read_state(example.instance.state)
    with forging(example.instance.state) as forger:
        sql("UPDATE leases SET holder = 'other' WHERE resource = 'due work'")(forger)
    assert broken(replace(example.evidence(), before=earlier)) == {"I17"}


def test_a_row_that_was_put_back_breaks_i10(example: Example) -> None:
    earlier = read_state(example.instance.state)
    with forging(example.instance.state) as forger:
        sql("UPDATE instance SET epoch = epoch - 1")(forger)
    evidence = replace(example.evidence(), before=earlier)
    assert violations(evidence) == [
        f"I10: the epoch is {earlier.instance['epoch'] - 1}, and was {earlier.instance['epoch']}"
    ]


def rewritten(example: Example, change: Callable[[list[dict[str, object]]], object]) -> Evidence:
    with forging(example.instance.state) as forger:
        documents = forger.records()
        change(documents)
        forger.write_log(documents)
    return example.evidence()


def test_a_use_after_the_revocation_breaks_i9(example: Example) -> None:
    gone = str(uuid.UUID(example.key("gone")))

    def append(documents: list[dict[str, object]]) -> None:
        used = next(document for document in documents if document["operation_type"] == "SIGN")
        documents.append(
            {
                **used,
                "status": "SUCCESS",
                "error_message": None,
                "key_reference": gone,
                "key_version": 1,
                "operation_id": str(uuid.uuid4()),
            }
        )

    assert broken(rewritten(example, append)) == {"I9"}


def test_a_changed_record_breaks_i19(example: Example) -> None:
    with forging(example.instance.state) as forger:
        sql(
            "UPDATE operations SET record = CAST(replace(CAST(record AS TEXT), 'os-user:', 'os-user;') AS BLOB)"
            " WHERE sequence = 1"
        )(forger)
    assert broken(example.evidence()) == {"I19"}


def test_another_past_breaks_i20(example: Example) -> None:
    assert broken(rewritten(example, lambda log: log[0].update(principal="somebody"))) == {"I20"}


def test_a_missing_record_of_an_answer_breaks_i21_and_its_reference_i24(example: Example) -> None:
    def remove(documents: list[dict[str, object]]) -> None:
        del documents[[document["operation_type"] for document in documents].index("SIGN", -8)]

    assert broken(rewritten(example, remove)) == {"I21", "I24"}


def test_a_missing_record_of_a_refusal_breaks_i23(example: Example) -> None:
    assert broken(rewritten(example, lambda log: log.pop())) == {"I23"}


def test_a_beginning_that_was_cut_off_breaks_i25(example: Example) -> None:
    with forging(example.instance.state) as forger:
        sql("DELETE FROM operations WHERE sequence = 1")(forger)
    assert broken(example.evidence()) == {"I19", "I25"}


def test_a_draft_that_was_left_breaks_i18(example: Example) -> None:
    (example.instance.state / "backends" / "main" / ".0.key.1.tmp").write_bytes(b"")
    assert broken(example.evidence()) == {"I18"}


def test_a_key_file_that_is_missing_breaks_i13(example: Example) -> None:
    kept = (example.instance.state / "backends" / "main").glob("*.key")
    next(path for path in kept if path.name != "master.key").unlink()
    assert broken(example.evidence()) == {"I13"}


def test_a_source_that_is_not_kept_breaks_i13(example: Example) -> None:
    (record,) = example.evidence().now.migrations
    name = hashlib.sha256(record["source_location"]["label"].encode()).hexdigest()[:32]
    (example.instance.state / "backends" / "main" / f"{name}.key").unlink()
    assert broken(example.evidence()) == {"I13"}


def test_a_key_that_was_rolled_back_and_is_there_breaks_i14(example: Example) -> None:
    evidence = example.evidence()
    label = next(row["label"] for row in evidence.now.intents if row["outcome"] == "undone")
    there = {**evidence.inventory, "main": evidence.inventory["main"] | {label}}
    assert broken(replace(evidence, inventory=there)) == {"I13", "I14"}


ANSWERS: dict[str, Callable[[Acknowledged], Acknowledged | None]] = {
    "I5": lambda made: None if made.fresh else made,
    "I6": lambda made: made if made.fresh else made._replace(message="00"),
    "I11": lambda made: made._replace(successor=None),
    "I24": lambda made: made._replace(audit_reference="urn:keyclave:audit:x" if made.succeeded else None),
}


@pytest.mark.parametrize("number", ANSWERS)
def test_an_answer_that_is_not_so_breaks_this_invariant_only(example: Example, number: str) -> None:
    evidence = example.evidence()
    changed = tuple(filter(None, map(ANSWERS[number], evidence.acknowledged)))
    assert broken(replace(evidence, acknowledged=changed)) == {number}


def test_the_program_prints_a_line_for_each(made: tuple[Instance, Path], tmp_path: Path) -> None:
    instance, earlier = made
    state = tmp_path / "state"
    shutil.copytree(instance.state, state)
    (state / "backends" / "shared").mkdir(exist_ok=True)
    (state / "left.tmp").touch()
    command = [sys.executable, "-m", "tests.invariants", *map(str, (state, earlier, instance.acknowledged))]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert "I18: left over: left.tmp\n" in runs[0].stdout
    assert runs[0].returncode == 1
