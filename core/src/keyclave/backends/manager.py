"""The configured backends: opened on first use, kept open, and closed together.

A key whose backend cannot be used fails closed with ``BackendUnavailable``; no other backend ever takes its place.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from copy import copy
from time import monotonic
from types import MappingProxyType
from uuid import UUID

from msgspec import structs

from keyclave.backends.backend import Backend
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.detection import DetectionAnswer, detect
from keyclave.backends.limits import TimeLimits
from keyclave.backends.modules import PluginModules
from keyclave.backends.opened import Broken, Opened
from keyclave.backends.opening import BackendInstance, Opener
from keyclave.backends.policy import PluginPolicy
from keyclave.backends.report import Fault, PluginReport, PluginStage, PluginState
from keyclave.backends.rereading import LostLevel
from keyclave.backends.retrying import Retries
from keyclave.errors import AuthenticationFailed, BackendUnavailable, ConfigurationError, KeyclaveError
from keyclave.models import EnvironmentType
from keyclave.plugin.records import BackendContext, Host

__all__ = ["BackendInstance", "BackendManager", "CryptoFunctions", "PluginPolicy", "TimeLimits"]


class _Slot:
    """One configured backend, opened or not yet."""

    def __init__(self, instance: BackendInstance) -> None:
        self.instance = instance
        self.lock = threading.Lock()
        self.opened: Opened | None = None
        self.refused: AuthenticationFailed | None = None
        self.fault: Fault | None = None
        self.failure: KeyclaveError | None = None
        self.failed_at = 0.0
        self.retries = Retries()

    def record(self, fault: Fault | None) -> None:
        """Remember how the plugin broke its contract, for its report."""
        self.fault = fault


class BackendManager:
    """All configured backends of an instance. Safe to share between threads."""

    def __init__(
        self,
        instances: Mapping[str, BackendInstance],
        policy: PluginPolicy,
        *,
        instance_id: UUID,
        environment_type: EnvironmentType,
        crypto: CryptoFunctions,
        limits: TimeLimits = TimeLimits(),  # noqa: B008  frozen
        detectors: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._slots = {backend_id: _Slot(instance) for backend_id, instance in instances.items()}
        self._instance_id = instance_id
        self._environment_type = environment_type
        self._limits = limits
        self._closed = False
        self._modules = PluginModules(policy, limits, detectors)
        self._opener = Opener(self._modules, limits, crypto)

    def ids(self) -> tuple[str, ...]:
        """Return the names of the configured backends."""
        return tuple(self._slots)

    def plugin_of(self, backend_id: str) -> str:
        """Return the name of the plugin that serves a configured backend."""
        return self._slot(backend_id).instance.plugin

    def get(self, backend_id: str) -> Backend:
        """Return an opened backend, opening it on first use. What shows its level is less than an hour old.

        Raises:
            BackendUnavailable: no such backend is configured, its plugin cannot be used, or it cannot be reached.
                In the last case a later call tries again.
            AuthenticationFailed: the credential is wrong. It is tried once, not again at the next call.
            ConfigurationError: the settings do not fit the plugin.
            PolicyViolation: it breaks a rule for backends in this environment.
        """
        slot = self._slot(backend_id)
        opened = slot.opened
        if opened is None:
            came_at = monotonic()
            with slot.lock:
                opened = slot.opened or self._open_for_all(slot, came_at)
        if opened.calls.faults:
            raise opened.calls.unavailable("open")
        opened.level.require()
        return opened.backend

    def opened(self, backend_id: str) -> Backend | None:
        """Return a configured backend if it is open; it is not opened."""
        opened = self._slot(backend_id).opened
        return None if opened is None else opened.backend

    def withdrawn(self) -> tuple[object, ...]:
        """Return what is another value as soon as a level does not count any more; see `keyclave.backends.rereading`.

        Levels that are due are read again meanwhile; this does not wait for it.
        """
        marks = []
        for slot in self._slots.values():
            opened = slot.opened
            if opened is not None:
                opened.level.watch()
            marks.append(None if opened is None else opened.level.withdrawn)
        return tuple(marks)

    def lost_levels(self) -> tuple[LostLevel, ...]:
        """Return each time that an open backend showed less than before."""
        opened = (slot.opened for slot in self._slots.values())
        return tuple(lost for each in opened if each is not None for lost in each.level.lost)

    def permissions_policy(self, name: str) -> str:
        """Return the least-privilege policy for a configured backend, or for any backend of a plugin.

        Args:
            name: the backend, or else the plugin.

        Raises:
            PluginError: the plugin cannot be used.
            CapabilityUnsupported: it has no such policy.
            ConfigurationError: there is neither, the settings do not fit the plugin, or none can be made from them.
        """
        slot = self._slots.get(name)
        if slot is None and name not in self.installed():
            raise ConfigurationError(
                f"neither a configured backend nor an installed plugin is called {name!r}",
                next_step=(
                    f"Name one of the backends {', '.join(self._slots)},"
                    f" or of the plugins {', '.join(sorted(self.installed()))}."
                ),
            )
        instance = None if slot is None else slot.instance
        report = self._modules.load(name if instance is None else instance.plugin)
        if report.state is not PluginState.LOADED:
            raise report.to_error()
        try:
            return self._opener.permissions_policy(report.name, instance)
        except Broken as error:
            broken = _failed(report, error.fault.stage, error.fault.reason)
        raise broken.to_error()

    def reports(self) -> tuple[PluginReport, ...]:
        """Return what became of every installed plugin, and of each one that the settings name. Loads none."""
        reports = self._modules.reports()
        known = {report.name for report in reports}
        for slot in self._slots.values():
            if slot.instance.plugin not in known:
                reports.append(self._modules.load(slot.instance.plugin))
                known.add(slot.instance.plugin)
        return tuple(self._with_faults(report) for report in sorted(reports, key=lambda r: r.name))

    def load_plugins(self) -> tuple[PluginReport, ...]:
        """Load every installed plugin that may load, and return the reports."""
        for name in self._modules.catalog.offers:
            self._modules.load(name)
        return self.reports()

    def installed(self) -> frozenset[str]:
        """Return the names of the plugins that are installed, whether they may load or not."""
        return frozenset(report.name for report in self._modules.reports())

    def detect(self, host: Host, *, plugins: bool = True) -> tuple[DetectionAnswer, ...]:
        """Return what Keyclave's detectors see of the machine, and the plugins, loading all that may load.

        Args:
            host: what may be looked at, and for how long; loading plugins is not counted.
            plugins: whether they are asked too.
        """
        if plugins:
            self.load_plugins()
        return detect(self._modules, host, plugins=plugins)

    def close(self) -> None:
        """Close every opened backend. A second call does nothing."""
        self._closed = True
        for slot in self._slots.values():
            with slot.lock:
                if slot.opened is not None:
                    slot.opened.close(self._limits.other)
                    slot.opened = None
        self._modules.close()

    def _slot(self, backend_id: str) -> _Slot:
        try:
            return self._slots[backend_id]
        except KeyError:
            raise BackendUnavailable(
                "no such backend is configured",
                backend_id=backend_id,
                next_step=f"Configure [backends.{backend_id}]; the settings name {', '.join(self._slots) or 'none'}.",
                retryable=False,
            ) from None

    def _open_for_all(self, slot: _Slot, came_at: float) -> Opened:
        """Open a backend. Who waited while another caller did so in vain gets its answer, and does not try again.

        Otherwise each of those who wait for a device that hangs would wait for all those before it.
        """
        if slot.failure is not None and slot.failed_at > came_at:
            raise copy(slot.failure)
        try:
            return self._open(slot)
        except KeyclaveError as error:
            slot.failure, slot.failed_at = copy(error), monotonic()
            raise

    def _open(self, slot: _Slot) -> Opened:
        instance = slot.instance
        if self._closed:
            raise BackendUnavailable(
                "Keyclave is closed",
                backend_id=instance.id,
                next_step="Open it again with `keyclave.open`.",
                retryable=False,
            )
        if slot.refused is not None:
            raise copy(slot.refused)
        report = self._modules.load(instance.plugin)
        if report.state is not PluginState.LOADED or (slot.fault is not None and slot.fault.final):
            raise _with_fault(report, slot).to_unavailable(instance.id)
        try:
            slot.opened = self._opener.open(instance, self._context(instance), slot.record, slot.retries)
        except AuthenticationFailed as error:
            slot.refused = copy(error)
            raise
        except Broken as error:
            slot.fault = error.fault
        else:
            slot.fault = None
            return slot.opened
        raise _with_fault(report, slot).to_unavailable(instance.id)

    def _context(self, instance: BackendInstance) -> BackendContext:
        return BackendContext(
            backend_id=instance.id,
            instance_id=self._instance_id,
            environment_type=self._environment_type,
            data_directory=instance.data_directory,
            accept_simulator=instance.accept_simulator,
        )

    def _with_faults(self, report: PluginReport) -> PluginReport:
        """Return the report of a plugin, failed if it broke its contract while it served a backend."""
        if report.state is not PluginState.LOADED:
            return report
        faulty = (s for s in self._slots.values() if s.instance.plugin == report.name and s.fault is not None)
        slot = next(faulty, None)
        return report if slot is None else _with_fault(report, slot)


def _with_fault(report: PluginReport, slot: _Slot) -> PluginReport:
    if slot.fault is None or report.state is not PluginState.LOADED:
        return report
    return _failed(report, slot.fault.stage, f"backend {slot.instance.id!r}: {slot.fault.reason}")


def _failed(report: PluginReport, stage: PluginStage, reason: str) -> PluginReport:
    return structs.replace(report, state=PluginState.FAILED, stage=stage, reason=reason)
