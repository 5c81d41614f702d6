"""I10 to I18: rows, changes that were interrupted, and what they left in the backends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.invariants.evidence import Evidence, invariant
from tests.invariants.sealing import mac_of
from tests.invariants.signatures import verifies
from tests.invariants.state import Row

_PREFIX = "keyclave:"


@invariant("I10")
def sealed(evidence: Evidence) -> Iterator[str]:
    """The MAC of every row is right; every change of a key or version has an epoch of its own, and epochs rise."""
    now = evidence.now
    for table, rows in now.tables.items():
        for row in rows:
            if mac_of(now.key, table, row) != row["mac"]:
                yield f"a row of {table} has a wrong MAC"
    epochs = [row["epoch"] for table in ("keys", "key_versions") for row in now.tables[table]]
    if len(set(epochs)) != len(epochs) or sum(epochs) != now.instance["epoch_sum"]:
        yield "a key or version is missing, there twice, or an earlier copy of itself"
    written = max([*epochs, now.tables["audit_head"][0]["epoch"], evidence.before.instance["epoch"]])
    if now.instance["epoch"] < written:
        yield f"the epoch is {now.instance['epoch']}, and was {written}"


@invariant("I11")
def both_sign(evidence: Evidence) -> Iterator[str]:
    """During a validation period both versions sign, and both signatures verify; outside of it one does."""
    under_validation = {
        row["key_id"]: number
        for (_, number), row in evidence.now.versions.items()
        if row["validation_ends_at"] is not None
    }
    for made in evidence.acknowledged:
        if not made.fresh or not made.signature:
            continue
        number, signature = made.successor or (None, "")
        if number != under_validation.get(made.key_reference):
            yield f"key {made.key_reference} signed by version {made.version}, and beside it {number}"
        elif number is not None and not verifies(
            evidence.now.versions.get((made.key_reference, number)), made.message, signature
        ):
            yield f"version {number} of key {made.key_reference} made a wrong signature beside the active one"


@invariant("I12")
def nothing_open(evidence: Evidence) -> Iterator[str]:
    """No change is open, but a validation period that waits for its end, with a date and who began it."""
    for row in evidence.now.intents:
        version = evidence.now.versions.get((row["key_id"], row["to_version"]), {})
        waits = row["step"] == "window" and version.get("validation_ends_at") is not None and row["principal"]
        if row["outcome"] is None and not waits:
            yield f"the {row['kind']} {row['operation_id']} is open at step {row['step']}"


@invariant("I13")
def nothing_orphaned(evidence: Evidence) -> Iterator[str]:
    """Each backend has the keys of the versions that are not destroyed, and no other that Keyclave made.

    The source of a migration has its key as well, until it is retired.
    """
    for backend_id in {row["backend_id"] for row in evidence.now.versions.values()} | set(evidence.inventory):
        expected = {
            row["label"]
            for row in evidence.now.versions.values()
            if row["backend_id"] == backend_id and row["destroyed_at"] is None
        }
        expected |= {
            row["source_location"]["label"]
            for row in evidence.now.migrations
            if row["source_backend_id"] == backend_id and _is_kept_at_source(row)
        }
        found = {label for label in evidence.inventory.get(backend_id, ()) if label.startswith(_PREFIX)}
        for label in sorted(found - expected):
            yield f"backend {backend_id} has {label}, of which nothing is known"
        for label in sorted(expected - found):
            yield f"backend {backend_id} does not have {label}"


@invariant("I14")
def rolled_back(evidence: Evidence) -> Iterator[str]:
    """Of a rotation that was undone no version is left that could be used, and its backend has no key of it.

    Nor has the destination of a migration that was rolled back.
    """
    for row in evidence.now.intents:
        if row["kind"] != "rotate" or row["outcome"] != "undone" or row["step"] == "window":
            continue
        label = row["label"]
        version = evidence.now.versions.get((row["key_id"], row["to_version"]), {"label": None})
        usable = version["label"] == label and (version["status"] != "REVOKED" or version["destroyed_at"] is None)
        if usable or label in evidence.inventory.get(row["backend_id"], ()):
            yield f"the rotation {row['operation_id']} was undone, and its version {row['to_version']} is there"
    for row in evidence.now.migrations:
        there = evidence.inventory.get(row["destination_backend_id"], frozenset())
        location = row.get("destination_location") or {"label": None}
        if row["status"] == "ROLLED_BACK" and location["label"] in there:
            yield f"migration {row['migration_id']} was rolled back, and its key is there"


@invariant("I15")
def proved(evidence: Evidence) -> Iterator[str]:
    """A completed migration has its proof, and an approval by somebody else that was used once, and in time.

    What is in the proof is verified by Keyclave's own ``migrate verify``, not here.
    """
    plans = {row["plan_id"]: row for row in evidence.now.tables["migration_plans"]}
    used = Counter(row["plan_id"] for row in evidence.now.tables["migration_approvals"] if row["consumed_at"])
    for row in evidence.now.migrations:
        if row["status"] == "COMPLETED" and not row["cryptographic_proof"]:
            yield f"migration {row['migration_id']} is completed without a proof"
        if used[row["plan_id"]] != 1:
            yield f"migration {row['migration_id']} has {used[row['plan_id']]} approvals"
    for row in evidence.now.tables["migration_approvals"]:
        plan = plans.get(row["plan_id"], {"requested_by": None, "plan_hash": None})
        late = row["consumed_at"] is not None and row["consumed_at"] > row["expires_at"]
        if plan["requested_by"] == row["approved_by"] or plan["plan_hash"] != row["plan_hash"] or late:
            yield f"the approval {row['approval_id']} is not one of its plan"


@invariant("I16")
def one_effect(evidence: Evidence) -> Iterator[str]:
    """One operation makes one version at most: its label names instance, key, version and the operation's intent."""
    intents = {row["operation_id"] for row in evidence.now.intents}
    makers = Counter(row["label"].rpartition(":")[2] for row in evidence.now.versions.values())
    for row in evidence.now.versions.values():
        maker = row["label"].rpartition(":")[2]
        place = (_PREFIX[:-1], evidence.now.instance["instance_id"], row["key_id"], str(row["version"]), maker)
        if row["label"] != ":".join(place) or maker not in intents or makers[maker] > 1:
            yield f"version {row['version']} of key {row['key_id']} has the label of another one"


@invariant("I17")
def fenced(evidence: Evidence) -> Iterator[str]:
    """A lease is taken with a higher fencing number each time: it never falls, and rises with every other holder."""
    earlier = {row["resource"]: row for row in evidence.before.tables["leases"]}
    for row in evidence.now.tables["leases"]:
        before = earlier.get(row["resource"], row)
        if row["fencing"] < before["fencing"] + (row["holder"] != before["holder"]):
            yield f"the lease of {row['resource']} has the fencing number {row['fencing']} again"


@invariant("I18")
def nothing_left_over(evidence: Evidence) -> Iterator[str]:
    """No draft of a file is left, which could hold a key."""
    yield from (f"left over: {name}" for name in evidence.now.leftovers)


def _is_kept_at_source(migration: Row) -> bool:
    """Return whether the source has a key that the state keeps elsewhere."""
    ended = migration["status"] != "COMPLETED" or migration["retired_at"] is not None
    return migration["strategy"] == "WRAPPED" and not ended
