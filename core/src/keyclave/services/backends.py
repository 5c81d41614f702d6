"""The configured backends: what they are, how they are, and which one takes a new key: ``clave.backends``."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from keyclave.backends.backend import Backend
from keyclave.backends.report import PluginReport
from keyclave.errors import ConfigurationError, KeyclaveError
from keyclave.models import AvailabilityStatus, CryptographicBackend, HealthCheckResult, OperationType
from keyclave.plugin import PermissionReport
from keyclave.services.instance import Instance
from keyclave.services.recording import Recorder
from keyclave.services.results import Selection
from keyclave.services.selection import BackendSelector

__all__ = ["BackendService"]


class BackendService:
    """Shows and checks the configured backends."""

    def __init__(self, instance: Instance, recorder: Recorder, selector: BackendSelector) -> None:
        self._instance = instance
        self._recorder = recorder
        self._selector = selector

    def list(self) -> tuple[CryptographicBackend, ...]:
        """Return every configured backend that can be opened, with its level and the evidence for it.

        Those that cannot are in ``health`` and ``reports``, with the reason.
        """
        found = []
        for backend_id in self._instance.backends.ids():
            try:
                found.append(self.show(backend_id))
            except KeyclaveError:
                continue
        return tuple(found)

    def show(self, backend_id: str) -> CryptographicBackend:
        """Return one backend, opening it.

        Raises:
            ConfigurationError: no such backend is configured.
            BackendUnavailable: it cannot be opened.
            PolicyViolation: a rule for backends in this environment is broken.
        """
        if backend_id not in self._instance.backends.ids():
            raise ConfigurationError(f"no backend {backend_id!r} is configured")
        return self._record(self._instance.backends.get(backend_id), None)

    def permissions(self, backend_id: str) -> PermissionReport | None:
        """Return which permissions the identity of this process lacks on a backend; ``None`` if it does not say.

        Raises:
            BackendUnavailable: no such backend is configured, or it cannot be reached.
        """
        backend = self._instance.backends.get(backend_id)
        return backend.check_permissions() if backend.has("check_permissions") else None

    def select(self, algorithm: str | None = None) -> Selection:
        """Return which backend a new key would be created in, and why each candidate was taken or refused."""
        return self._selector.select(algorithm)

    def health(self) -> dict[str, HealthCheckResult]:
        """Check every configured backend now, and return the results by backend id. It never raises for one."""
        return {backend_id: self._check(backend_id) for backend_id in self._instance.backends.ids()}

    def reports(self) -> tuple[PluginReport, ...]:
        """Return what became of every installed plugin: loaded, failed, blocked or conflicting, and why."""
        return self._instance.backends.reports()

    def _check(self, backend_id: str) -> HealthCheckResult:
        started = time.perf_counter()
        checked_at = datetime.now(UTC)
        try:
            with self._recorder.operation(OperationType.HEALTH_CHECK, f"backend:{backend_id}") as operation:
                operation.backend_id = backend_id
                backend = self._instance.backends.get(backend_id)
                report = backend.check_health()
                result = HealthCheckResult(
                    status=report.status,
                    checked_at=checked_at,
                    latency=timedelta(seconds=time.perf_counter() - started),
                    detail=report.detail,
                )
                self._record(backend, result)
                self._instance.audit.append(operation.success())
        except KeyclaveError as error:
            return HealthCheckResult(
                status=AvailabilityStatus.UNAVAILABLE,
                checked_at=checked_at,
                latency=timedelta(seconds=time.perf_counter() - started),
                detail=error.message,
            )
        return result

    def _record(self, backend: Backend, health: HealthCheckResult | None) -> CryptographicBackend:
        """Write what the backend shows now to the state, and return it."""
        shown = backend.standing(health)
        with self._instance.store.write() as state:
            state.backends.put(shown)
        return shown
