"""What migrations leave behind that no version tells of: keys at their sources, and versions that were given up."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.invariants.state import Row, State

__all__ = ["given_up", "kept_at_sources", "unproved"]


def kept_at_sources(state: State, backend_id: str) -> set[str]:
    """Return the labels of the keys that a backend keeps after they went elsewhere, until it is retired."""
    return {
        _details(row)["source_location"]["label"]
        for row in state.tables["migrations"]
        if (row["status"], row["strategy"], row["source_backend_id"]) == ("COMPLETED", "WRAPPED", backend_id)
        and _details(row)["retired_at"] is None
    }


def given_up(state: State) -> dict[tuple[str, int], tuple[str, int]]:
    """Return each version that took over in a migration and was rolled back, and the one that it took over from."""
    return {
        (_key_of(row), _details(row)["destination_version"]): (_key_of(row), row["key_version"])
        for row in state.tables["migrations"]
        if (row["status"], row["strategy"]) == ("ROLLED_BACK", "REKEYED") and _details(row)["destination_version"]
    }


def unproved(state: State) -> Iterator[str]:
    """Yield where a migration has no proof, or no approval that was used once, in time, by another than asked."""
    plans = {row["plan_id"]: row for row in state.tables["migration_plans"]}
    for row in state.tables["migrations"]:
        if row["status"] == "COMPLETED" and not row["cryptographic_proof"]:
            yield f"migration {row['migration_id']} is completed without a proof"
        if row["status"] == "COMPLETED" and row["strategy"] == "WRAPPED":
            hashes = {json.loads(i["parameters"]).get("integrity_hash") for i in state.intents if _is_of(i, row)}
            if _details(row).get("integrity_hash") not in hashes:
                yield f"migration {row['migration_id']} has another wrapped key than the one that was recorded"
        used = [a for a in state.tables["migration_approvals"] if a["plan_id"] == row["plan_id"] and a["consumed_at"]]
        plan = plans.get(row["plan_id"])
        if plan is None or len(used) != 1 or not _is_good(used[0], plan):
            yield f"migration {row['migration_id']} has no good approval"


def _is_good(approval: Row, plan: Row) -> bool:
    return bool(
        approval["plan_hash"] == plan["plan_hash"]
        and approval["approved_by"] != plan["requested_by"]
        and approval["approved_at"] <= approval["consumed_at"] <= approval["expires_at"]
    )


def _is_of(intent: Row, migration: Row) -> bool:
    mentioned = json.loads(intent["parameters"]).get("migration")
    return bool(intent["kind"] == "migrate" and mentioned == migration["migration_id"])


def _key_of(row: Row) -> str:
    return str(row["source_key_id"]).replace("-", "")


def _details(row: Row) -> Row:
    found: Row = json.loads(row["details"])
    return found
