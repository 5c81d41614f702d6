"""What every service works on: one opened Keyclave instance."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from keyclave.audit.log import AuditLog
from keyclave.backends.backend import Backend
from keyclave.backends.manager import BackendManager
from keyclave.errors import BackendUnavailable
from keyclave.models import EnvironmentConfiguration
from keyclave.services.keys.bindings import EpochWatch
from keyclave.services.ownership.owners import Owner
from keyclave.state.records import StoredVersion
from keyclave.state.store import Store

__all__ = ["Instance"]


@dataclass(frozen=True, slots=True)
class Instance:
    """The parts of an opened instance, wired together by `keyclave.app`.

    Attributes:
        store: the durable state.
        audit: the audit log.
        backends: the configured backends, opened on first use.
        environment: what the environment requires.
        principal: who works with this instance.
        owner: the mark by which other processes see that this one lives.
        epoch: the watch over changes of keys, by this process and by others.
    """

    store: Store
    audit: AuditLog
    backends: BackendManager
    environment: EnvironmentConfiguration
    principal: str
    owner: Owner
    epoch: EpochWatch

    @property
    def instance_id(self) -> UUID:
        """The identity of the instance, the first part of every key label."""
        return self.store.instance_id

    def backend_of(self, version: StoredVersion) -> Backend:
        """Return the backend that keeps a version, opened.

        Raises:
            BackendUnavailable: the settings let another plugin serve it by now, which knows nothing of the key: that
                it has none of this label does not show that the key is gone.
            KeyclaveError: it cannot be opened; see `BackendManager.get`.
        """
        self.require_plugin(version.backend_id, version.backend_type)
        return self.backends.get(version.backend_id)

    def require_plugin(self, backend_id: str, made_by: str) -> None:
        """Refuse a backend whose keys another plugin keeps.

        Raises:
            BackendUnavailable: another one serves it by now, or the settings name no such backend.
        """
        serving = self.backends.plugin_of(backend_id)
        if serving != made_by:
            raise BackendUnavailable(
                f"the key was made by plugin {made_by!r}, and the settings let {serving!r} serve this backend",
                backend_id=backend_id,
                next_step=f"Let [backends.{backend_id}] name the plugin {made_by!r} again, and give the other backend"
                " an id of its own.",
                retryable=False,
            )
