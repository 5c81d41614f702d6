"""The configured backends: what they are, how they are, and which one takes a new key: ``clave.backends``."""

from __future__ import annotations

from keyclave.backends.backend import Backend
from keyclave.backends.report import PluginReport
from keyclave.errors import ConfigurationError, KeyclaveError, KeyNotFound
from keyclave.models import CryptographicBackend, HealthCheckResult
from keyclave.plugin import KeyLabel, KeyReference, PermissionReport
from keyclave.services.backends.health import HealthService
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.backends.view import with_health
from keyclave.services.fallback.report import running_fallbacks, unusable_standbys
from keyclave.services.handles import current
from keyclave.services.instance import Instance
from keyclave.services.keys.unknown import unknown_keys
from keyclave.services.results import RunningFallback, Selection, UnusableStandby

__all__ = ["BackendService"]


class BackendService:
    """Shows and checks the configured backends."""

    def __init__(self, instance: Instance, health: HealthService, selector: BackendSelector) -> None:
        self._instance = instance
        self._health = health
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
            raise ConfigurationError(
                f"no backend {backend_id!r} is configured",
                next_step=f"Use one of {', '.join(self._instance.backends.ids())}, or configure it.",
            )
        return self._record(self._instance.backends.get(backend_id))

    def permissions(self, backend_id: str) -> PermissionReport | None:
        """Return which permissions the identity of this process lacks on a backend; ``None`` if it does not say.

        Raises:
            BackendUnavailable: no such backend is configured, or it cannot be reached.
        """
        backend = self._instance.backends.get(backend_id)
        return backend.check_permissions() if backend.has("check_permissions") else None

    def has_key(self, name: str) -> bool:
        """Return whether the backend of a key has its active version, or its newest where none is active.

        Raises:
            KeyNotFound: there is no such key at all.
            BackendError: the backend cannot be asked.
        """
        with self._instance.store.read() as state:
            version = current(state.keys.versions(state.keys.by_name(name).key_id))
        try:
            self._instance.backend_of(version).find_key(KeyLabel.parse(version.label))
        except KeyNotFound:
            return False
        return True

    def unknown_keys(self, backend_id: str) -> tuple[KeyReference, ...]:
        """Return the keys that a backend has under labels of this instance, and that the state does not know.

        They were left by a process that stood still for longer than others wait for it, or made after the copy of
        the state that was put back. It lists all keys of the instance in the backend.

        Raises:
            CapabilityUnsupported: the backend does not list its keys.
            BackendUnavailable: no such backend is configured, or it cannot be reached.
        """
        return tuple(unknown_keys(self._instance, self._instance.backends.get(backend_id)))

    def select(self, algorithm: str | None = None) -> Selection:
        """Return which backend a new key would be created in, and why each candidate was taken or refused."""
        return self._selector.select(algorithm)

    def fallbacks(self) -> tuple[RunningFallback, ...]:
        """Return the fallbacks that are under way: of which backend, since when, and until when at the latest."""
        return tuple(running_fallbacks(self._instance))

    def unusable_standbys(self) -> tuple[UnusableStandby, ...]:
        """Return the standby versions that could not sign now if the active ones were away, and why.

        Each of their backends is opened, and asked whether it has the newest of its standbys.
        """
        return tuple(unusable_standbys(self._instance))

    def health(self) -> dict[str, HealthCheckResult]:
        """Check every configured backend now, and return the results by backend id.

        How the backends are by these and all earlier observations, `HealthService.status` says.
        """
        return self._health.check()

    def reports(self) -> tuple[PluginReport, ...]:
        """Return what became of every installed plugin: loaded, failed, blocked or conflicting, and why."""
        return self._instance.backends.reports()

    def _record(self, backend: Backend) -> CryptographicBackend:
        """Write what the backend shows now to the state, and return it."""
        shown = backend.standing()
        with self._instance.store.write() as state:
            shown = with_health(shown, state.health.get(backend.id))
            state.backends.put(shown)
        return shown
