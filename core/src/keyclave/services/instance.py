"""What every service works on: one opened Keyclave instance."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from keyclave.audit.log import AuditLog
from keyclave.backends.manager import BackendManager
from keyclave.models import EnvironmentConfiguration
from keyclave.services.keys.bindings import EpochWatch
from keyclave.services.ownership.owners import Owner
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
