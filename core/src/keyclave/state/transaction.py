"""What a caller sees of the state between the beginning and the end of a transaction."""

from __future__ import annotations

from keyclave.state.anchors import FIRST_CHAIN, Access, Anchors
from keyclave.state.audit import AuditTable
from keyclave.state.clock import Clock
from keyclave.state.fallbacks import Fallbacks
from keyclave.state.intents import Intents
from keyclave.state.keys import Keys
from keyclave.state.leases import Leases
from keyclave.state.models import Approvals, Backends, Environments, Health, Migrations, Plans
from keyclave.state.session import Session

__all__ = ["Transaction"]


class Transaction:
    """One transaction; everything read in it is of one moment. It cannot be used after its end.

    Args:
        session: runs its statements.
        chain: the chain of the audit log that it appends to.
        access: what it may do.
    """

    __slots__ = ("_anchors", "_session")

    def __init__(self, session: Session, chain: int = FIRST_CHAIN, access: Access = Access.READ) -> None:
        self._session = session
        self._anchors = Anchors(session, chain, access)

    @property
    def epoch(self) -> int:
        """A number that rises with every change of keys or key versions."""
        return self._anchors.epoch

    def raise_epoch(self) -> None:
        """Raise the epoch though no key changed: what is bound to keys, by any process, is bound anew."""
        self._anchors.raise_epoch(replaced=self._anchors.epoch + 1)  # no row gets it, and their sum stays

    @property
    def keys(self) -> Keys:
        """Keys and their versions."""
        return Keys(self._session, self._anchors)

    @property
    def intents(self) -> Intents:
        """What is being done, and what was interrupted."""
        return Intents(self._session)

    @property
    def audit(self) -> AuditTable:
        """The audit log's records."""
        return AuditTable(self._session, self._anchors)

    @property
    def environments(self) -> Environments:
        """The configured environments."""
        return Environments(self._session)

    @property
    def backends(self) -> Backends:
        """The backend instances that were seen."""
        return Backends(self._session)

    @property
    def health(self) -> Health:
        """How the backend instances are."""
        return Health(self._session)

    @property
    def fallbacks(self) -> Fallbacks:
        """Since when standby versions sign for the keys of a backend."""
        return Fallbacks(self._session)

    @property
    def clock(self) -> Clock:
        """The time of the clock as it was trusted last."""
        return Clock(self._session)

    @property
    def leases(self) -> Leases:
        """Who works on what."""
        return Leases(self._session)

    @property
    def migrations(self) -> Migrations:
        """The migrations of keys between backends."""
        return Migrations(self._session)

    @property
    def plans(self) -> Plans:
        """The plans of migrations."""
        return Plans(self._session)

    @property
    def approvals(self) -> Approvals:
        """The approvals of plans."""
        return Approvals(self._session)
