"""What became of an installed plugin, for an operator to read."""

from __future__ import annotations

from enum import StrEnum

from keyclave.errors import BackendUnavailable, ContractMismatch, PluginConflict, PluginError, PluginLoadError
from keyclave.plugin.records import Record

__all__ = ["Fault", "PluginReport", "PluginStage", "PluginState"]


class PluginState(StrEnum):
    """How far a plugin came. A plugin that is only *found* was not needed yet, and nothing of it was imported."""

    FOUND = "found"
    LOADED = "loaded"
    FAILED = "failed"
    BLOCKED = "blocked"
    CONFLICTING = "conflicting"


class PluginStage(StrEnum):
    """Where a plugin stopped.

    discovery: its metadata. policy: the settings. requires: the version of keyclave that it asks for. origin: the
    files that its code comes from. import: its import, tried in a child process first if it is foreign. register: its
    hooks. settings, open, describe and call: what its hooks did. contract: the contract version that its description
    names.
    """

    DISCOVERY = "discovery"
    POLICY = "policy"
    REQUIRES = "requires"
    ORIGIN = "origin"
    IMPORT = "import"
    REGISTER = "register"
    SETTINGS = "settings"
    OPEN = "open"
    DESCRIBE = "describe"
    CONTRACT = "contract"
    CALL = "call"


_MADE_FOR_ANOTHER = frozenset({PluginStage.REQUIRES, PluginStage.CONTRACT})


class Fault(Record, frozen=True, kw_only=True):
    """How a plugin broke its contract while it served one backend.

    Attributes:
        stage: what it was doing.
        reason: what was wrong, in a sentence without secrets.
        final: whether the backend stays out of use; if not, the next call tries to open it again.
    """

    stage: PluginStage
    reason: str
    final: bool = True


class PluginReport(Record, frozen=True, kw_only=True):
    """What became of one entry point of one distribution.

    Attributes:
        name: the name of the entry point, which settings use as ``plugin``.
        distribution: the distribution that offers it; ``None`` if no installed one does.
        version: the version of the distribution.
        state: found, loaded, failed, blocked or conflicting.
        stage: where it stopped; ``None`` while it is found or loaded.
        reason: why it stopped, in a sentence without secrets.
    """

    name: str
    distribution: str | None
    version: str | None
    state: PluginState
    stage: PluginStage | None = None
    reason: str = ""

    def to_error(self) -> PluginError:
        """Return the error for a plugin that stopped: what it is, whose it is, where it stopped and why."""
        if self.state is PluginState.CONFLICTING:
            kind: type[PluginError] = PluginConflict
        elif self.stage in _MADE_FOR_ANOTHER:
            kind = ContractMismatch
        else:
            kind = PluginLoadError
        whose = f" of {self.distribution} {self.version}" if self.distribution else ""
        return kind(f"plugin {self.name!r}{whose}: {self.state.value} at stage {self.stage}: {self.reason}")

    def to_unavailable(self, backend_id: str) -> BackendUnavailable:
        """Return the error for a backend whose plugin stopped. It stays so until something is changed."""
        cause = self.to_error()
        error = BackendUnavailable(cause.message, backend_id=backend_id, next_step=cause.next_step, retryable=False)
        error.__cause__ = cause
        return error
