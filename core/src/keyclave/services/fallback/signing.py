"""Sign with a standby version while the backend of the active one is unavailable, where policy allows it (FR-024).

It stands before the signer only where the policy enables it, so that other instances pay nothing for it. Whoever can
keep a backend away decides which key signs; so nothing but an unanswered call leads here, and never below the level
that the key requires. A caller that asked for one version, as every certificate does, gets that version or an error.
"""

from __future__ import annotations

from time import monotonic
from typing import BinaryIO

from msgspec import structs

from keyclave.errors import (
    BackendError,
    BackendUnavailable,
    CapabilityUnsupported,
    DeadlineExceeded,
    IntegrityError,
    KeyNotFound,
    KeyStateError,
    PolicyViolation,
)
from keyclave.plugin import Record
from keyclave.services.fallback.outage import Outage
from keyclave.services.fallback.standby import usable_standby
from keyclave.services.handles import current
from keyclave.services.instance import Instance
from keyclave.services.keys.bindings import Bindings, Wanted
from keyclave.services.keys.signing import BoundVersion, Signer, signing_version
from keyclave.services.names import key_name_of, require_name
from keyclave.services.recording import Recorder
from keyclave.services.results import SignResult
from keyclave.services.rotation.rollback import Rollback

__all__ = ["Fallback", "StandbySigner"]

_AWAY = (BackendUnavailable, DeadlineExceeded)
"""A call without an answer. A signature changes nothing, so that it does not matter if it was made."""
_REFUSED = (BackendError, KeyStateError, IntegrityError, PolicyViolation)
"""An answer, though no signature: nothing that a standby may make good."""


class StandbySigner(Signer):
    """Signs with the standby version of a key."""

    def _bind(self, wanted: Wanted) -> BoundVersion:
        name, scheme, prehashed, _ = wanted
        require_name(name)
        with self._instance.store.read() as state:
            epoch, (key, _) = state.epoch, signing_version(state, name, None)
            standby = usable_standby(key, state.keys.versions(key.key_id))
        if standby is None:
            raise CapabilityUnsupported("it has no standby any more", key_name=name)
        bound = self._bind_version(key, standby, scheme, epoch, prehashed=prehashed)
        return self._bindings.put(wanted, epoch, bound)


class _Route(Record, frozen=True, kw_only=True):
    """What a key without a version that was asked for is signed by.

    Attributes:
        outage: of the backend of its active version; ``None`` if it has no standby.
    """

    outage: Outage | None


class Fallback:
    """Signs with active versions, and with standbys while those are away. Every call may be made from any thread."""

    def __init__(self, instance: Instance, recorder: Recorder, signer: Signer, rollback: Rollback) -> None:
        self._instance = instance
        self._recorder = recorder
        self._active = signer
        self._standby = StandbySigner(instance, recorder, rollback)
        self._routes: Bindings[str, _Route] = Bindings(instance.epoch)
        self._outages: dict[str, Outage] = {}

    def sign(self, wanted: Wanted, data: bytes) -> SignResult:
        """Sign ``data``; see `Signer.sign`."""
        outage = self._outage_of(wanted)
        if outage is None:
            return self._active.sign(wanted, data)
        failure = outage.failure
        if failure is None or outage.asks():
            try:
                result = self._active.sign(wanted, data)
            except _AWAY as error:
                if not error.retryable:
                    outage.refused()
                    raise
                if not outage.allows(error):
                    raise
                failure = error
            except _REFUSED:
                outage.refused()
                raise
            else:
                outage.answered()
                return result
        try:
            return structs.replace(self._standby.sign(wanted, data), fallback=True)
        except CapabilityUnsupported:  # its backend signs messages only, and this is a digest; or it has just gone
            pass
        raise failure

    def sign_stream(self, name: str, source: BinaryIO, scheme: str | None) -> SignResult:
        """Sign what a file holds; see `Signer.sign_stream`."""
        outage = self._outage_of((name, scheme, False, None))
        if outage is None:
            return self._active.sign_stream(name, source, scheme)
        if outage.failure is not None:
            return self.sign(*self._standby.take_stream(name, source, scheme))
        try:
            taken = self._active.take_stream(name, source, scheme)
        except _AWAY:  # it cannot be opened, and nothing was read yet
            taken = self._standby.take_stream(name, source, scheme)
        return self.sign(*taken)

    def _outage_of(self, wanted: Wanted) -> Outage | None:
        name, _, _, version = wanted
        if version is not None or key_name_of(name) is None:
            return None
        route = self._routes.get(name, monotonic()) or self._find_route(name)
        return route.outage

    def _find_route(self, name: str) -> _Route:
        with self._instance.store.read() as state:
            epoch = state.epoch
            try:
                key = state.keys.by_name(name)
            except KeyNotFound:  # the signer says so, and records it
                return _Route(outage=None)
            versions = state.keys.versions(key.key_id)
        outage = None
        if usable_standby(key, versions) is not None:
            active = current(versions).backend_id
            outage = self._outages.get(active) or self._outages.setdefault(
                active, Outage(self._instance, self._recorder, active)
            )
        return self._routes.put(name, epoch, _Route(outage=outage))
