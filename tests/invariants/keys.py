"""I1 to I9: keys and their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.invariants.evidence import Evidence, invariant
from tests.invariants.replay import replayed
from tests.invariants.signatures import verifies
from tests.invariants.state import Row

_DAY = 24 * 60 * 60 * 1_000_000
_LEVELS = ("SOFTWARE", "TPM", "HSM")
_USES = frozenset({"SIGN", "VERIFY", "ENCRYPT", "DECRYPT"})


def _name(row: Row) -> str:
    return f"version {row['version']} of key {row['key_id']}"


@invariant("I1")
def one_active(evidence: Evidence) -> Iterator[str]:
    """A key has exactly one ACTIVE version; one of which all are REVOKED has none."""
    for key_id in evidence.now.keys:
        statuses = [row["status"] for row in evidence.now.of_key(key_id)]
        if statuses.count("ACTIVE") != (0 if statuses and set(statuses) == {"REVOKED"} else 1):
            yield f"key {key_id} has versions {statuses}"


@invariant("I2")
def pending_with_intent(evidence: Evidence) -> Iterator[str]:
    """A key has one PENDING version at most, and only while the intent of its rotation waits for the period's end."""
    waiting = {
        (row["key_id"], row["to_version"])
        for row in evidence.now.intents
        if row["outcome"] is None and row["step"] == "window"
    }
    pending = [place for place, row in evidence.now.versions.items() if row["status"] == "PENDING"]
    for key_id, version in pending:
        if (key_id, version) not in waiting or sum(owner == key_id for owner, _ in pending) > 1:
            yield f"version {version} of key {key_id} is PENDING"


@invariant("I3")
def numbered(evidence: Evidence) -> Iterator[str]:
    """Versions are 1, 2, 3 and so on; none goes, and the public key of none changes."""
    for key_id in {key for key, _ in evidence.now.versions} | set(evidence.now.keys):
        numbers = [row["version"] for row in evidence.now.of_key(key_id)]
        if not numbers or numbers != [*range(1, len(numbers) + 1)]:
            yield f"key {key_id} has versions {numbers}"
    for place, earlier in evidence.before.versions.items():
        found = evidence.now.versions.get(place)
        if found is None or found["public_key"] != earlier["public_key"]:
            yield f"{_name(earlier)} has gone, or has another public key"


@invariant("I4")
def allowed_edges(evidence: Evidence) -> Iterator[str]:
    """The statuses are what the audit log leads to, by allowed changes only."""
    yield from replayed(evidence.now)


@invariant("I5")
def active_versions_sign(evidence: Evidence) -> Iterator[str]:
    """Every ACTIVE version that signs has signed after recovery, and its stored public key says so."""
    fresh = {(made.key_reference, made.version) for made in evidence.acknowledged if made.fresh and made.signature}
    for place, row in evidence.now.versions.items():
        if row["status"] == "ACTIVE" and row["public_key"] is not None and place not in fresh:
            yield f"{_name(row)} did not sign"
    for made in evidence.acknowledged:
        found = evidence.now.versions.get((made.key_reference, made.version or 0))
        if made.fresh and made.signature and not verifies(found, made.message, made.signature):
            yield f"version {made.version} of key {made.key_reference} made a wrong signature"


@invariant("I6")
def earlier_signatures_verify(evidence: Evidence) -> Iterator[str]:
    """Every signature that was acknowledged earlier verifies under the public key stored now."""
    for made in evidence.acknowledged:
        found = evidence.now.versions.get((made.key_reference, made.version or 0))
        if not made.fresh and made.signature and not verifies(found, made.message, made.signature):
            yield f"a signature by version {made.version} of key {made.key_reference} verifies no more"


@invariant("I7")
def retained(evidence: Evidence) -> Iterator[str]:
    """A DEPRECATED version is kept for 90 days, the source of a migration for 30, and no such date moves back.

    The version that a migration made, and its rollback took away, is not kept.
    """
    reverted = {(row["key_id"], row["to_version"]) for row in evidence.now.intents if row["kind"] == "revert"}
    for place, row in evidence.now.versions.items():
        until = row["not_destroy_before"] or 0
        if (row["status"] == "DEPRECATED" and place not in reverted) and (
            until < row["last_rotation_at"] + 90 * _DAY or (row["destroyed_at"] or until) < until
        ):
            yield f"{_name(row)} is not kept for 90 days"
        if until < (evidence.before.versions.get(place, {}).get("not_destroy_before") or 0):
            yield f"the retention of {_name(row)} moved back"
    for row in evidence.now.tables["migrations"]:
        if row["completed_at"] and (row["source_retained_until"] or 0) < row["completed_at"] + 30 * _DAY:
            yield f"the source of migration {row['migration_id']} is not kept for 30 days"


@invariant("I8")
def protected(evidence: Evidence) -> Iterator[str]:
    """Each version is in a backend of the level that its key requires, and so was what was done with it."""
    levels = {backend_id: _LEVELS.index(level) for backend_id, level in evidence.levels.items()}
    required = {key_id: _LEVELS.index(row["required_security_level"]) for key_id, row in evidence.now.keys.items()}
    for row in evidence.now.versions.values():
        if levels.get(row["backend_id"], -1) < required.get(row["key_id"], 0):
            yield f"{_name(row)} is in a backend below the level that the key requires"
        if row["hsm_backed"] and row["exportable"]:
            yield f"{_name(row)} is in an HSM and leaves it"
    for record in evidence.now.records:
        used = record.operation in _USES and record.succeeded and record.backend_id is not None
        if used and levels.get(record.backend_id or "", -1) < required.get(record.key_reference, 0):
            yield f"record {record.place} shows a use below the level that the key requires"


@invariant("I9")
def revoked_for_good(evidence: Evidence) -> Iterator[str]:
    """A REVOKED version stays one, and nothing succeeds with it after the record of its revocation."""
    for place, row in evidence.before.versions.items():
        if row["status"] == "REVOKED" and evidence.now.versions.get(place, row)["status"] != "REVOKED":
            yield f"{_name(row)} is no longer REVOKED"
    revoked: defaultdict[str, int] = defaultdict(int)
    for record in evidence.now.records:
        if record.operation == "REVOKE" and record.succeeded:
            revoked[record.key_reference] = record.place
        if record.operation in _USES and record.succeeded and record.key_reference in revoked:
            yield f"record {record.place} shows a use after the revocation of key {record.key_reference}"
