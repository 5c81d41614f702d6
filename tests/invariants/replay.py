"""I4: what the audit log says that the statuses are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.invariants.audit import Record
from tests.invariants.state import Row, State

__all__ = ["replayed"]

_AFTER = {
    "PENDING": frozenset({"ACTIVE", "REVOKED"}),
    "ACTIVE": frozenset({"DEPRECATED", "REVOKED"}),
    "STANDBY": frozenset({"DEPRECATED", "REVOKED"}),
    "DEPRECATED": frozenset({"REVOKED"}),
    "REVOKED": frozenset[str](),
}
_GONE = frozenset({"REVOKED"})
_STANDBY = frozenset({"STANDBY"})
_Place = tuple[str, int]


class _Log:
    """The statuses that each version may have so far, and what was said of its destruction."""

    def __init__(self, intents: list[Row], records: tuple[Record, ...]) -> None:
        self.statuses: dict[_Place, frozenset[str]] = {}
        self.destroyed: dict[_Place, bool] = {}
        self.wrong: list[str] = []
        succeeded = {record.operation_id for record in records if record.succeeded}
        self._finished = {
            (row["key_id"], row["to_version"]): row["kind"] == "destroy"
            for row in intents
            if row["kind"] in ("destroy", "cancel") and row["operation_id"] not in succeeded
        }
        self.undone = {
            (row["key_id"], row["to_version"])
            for row in intents
            if row["kind"] in ("rotate", "migrate") and row["outcome"] == "undone"
        }
        self._reverted = {row["operation_id"]: row for row in intents if row["kind"] == "revert"}
        self._revoked = {row["key_id"] for row in intents if row["kind"] == "revoke"}

    def apply(self, record: Record) -> None:
        """Take note of what one successful change says."""
        key, version = record.key_reference, record.version or 0
        if record.operation in ("KEY_GENERATION", "ADOPT"):
            self._begin(record, (key, version), "ACTIVE")
        elif record.operation == "ROTATE":
            self._begin(record, (key, version), "ACTIVE", "PENDING")
            self._change(record, self._followed(key, version), "DEPRECATED", may_stay=True)
        elif record.operation == "MIGRATE" and version and self.statuses.get((key, version)) in (None, _GONE):
            self._begin(record, (key, version), "ACTIVE")
            self._change(record, self._followed(key, version), "DEPRECATED")
        elif record.operation == "REVERT_MIGRATION":
            self._revert(key, self._reverted.get(record.operation_id, {}))
        elif record.operation == "PROMOTE":
            self._change(record, [(key, version)], "ACTIVE")
            self._change(record, self._followed(key, version), "DEPRECATED")
        elif record.operation == "ADD_STANDBY":
            self._change(record, self._standbys(key), "DEPRECATED")
            self._begin(record, (key, version), "STANDBY")
        elif record.operation == "REMOVE_STANDBY":
            self._change(record, self._standbys(key), "DEPRECATED")
        elif record.operation == "ROLLBACK":
            self._change(record, [(key, version)], "REVOKED")
        elif record.operation == "REVOKE":
            self._change(record, self._others(key, 0), "REVOKED")
        elif record.operation == "RECOVER":
            self._recover(record, (key, version))
        elif record.operation in ("DESTROY", "CANCEL_DESTRUCTION"):
            self.destroyed[key, version] = record.operation == "DESTROY"

    def _revert(self, key: str, intent: Row) -> None:
        """Let the old version of a key that a migration renewed be active again: the one way back that there is."""
        if intent.get("to_version"):
            self.statuses[key, intent["to_version"]] = frozenset({"DEPRECATED"})
            self.statuses[key, intent["from_version"]] = frozenset({"ACTIVE"})

    def _recover(self, record: Record, place: _Place) -> None:
        if place in self._finished:
            self.destroyed[place] = self._finished[place]
        elif place in self.undone:
            self.statuses[place] = frozenset({"REVOKED"})
        elif record.version is None and place[0] in self._revoked:
            self._change(record, self._others(place[0], 0), "REVOKED")

    def _others(self, key: str, version: int) -> list[_Place]:
        """Return the other versions of a key that are not out of use for good."""
        return [
            place
            for place, statuses in self.statuses.items()
            if place[0] == key and place[1] != version and statuses != {"REVOKED"}
        ]

    def _standbys(self, key: str) -> list[_Place]:
        return [place for place in self._others(key, 0) if self.statuses[place] == _STANDBY]

    def _followed(self, key: str, version: int) -> list[_Place]:
        """Return the versions of a key that this one takes the place of: a standby stays one."""
        return [place for place in self._others(key, version) if self.statuses[place] != _STANDBY]

    def _begin(self, record: Record, place: _Place, *statuses: str) -> None:
        if place in self.statuses and self.statuses[place] != {"REVOKED"}:
            self.wrong.append(f"record {record.place} makes version {place[1]} of key {place[0]} once more")
        self.statuses[place] = frozenset(statuses)

    def _change(self, record: Record, places: list[_Place], status: str, *, may_stay: bool = False) -> None:
        for place in places:
            before = self.statuses.get(place, frozenset())
            if not any(status == old or status in _AFTER[old] for old in before):
                self.wrong.append(f"record {record.place} makes a version {status} that was {sorted(before)}")
            self.statuses[place] = before | {status} if may_stay else frozenset({status})


def replayed(state: State) -> Iterator[str]:
    """Yield where the statuses are not what the audit log leads to."""
    log = _Log(state.intents, state.records)
    for record in state.records:
        if record.succeeded:
            log.apply(record)
    yield from log.wrong
    for place, row in state.versions.items():
        expected = log.statuses.get(place, frozenset({"REVOKED"}) if place in log.undone else frozenset())
        if row["status"] not in expected:
            yield f"version {place[1]} of key {place[0]} is {row['status']}; the log says {sorted(expected)}"
        if place in log.destroyed and log.destroyed[place] is not (row["destroyed_at"] is not None):
            yield f"the destruction of version {place[1]} of key {place[0]} is not what the log says"
    for key_id, version in log.statuses.keys() - state.versions.keys():
        if (key_id, version) not in log.undone:
            yield f"version {version} of key {key_id} is in the log, and nowhere else"
