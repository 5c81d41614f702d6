"""Which backend takes a new key: a choice with its reasons (FR-001, FR-014, FR-021).

It never lowers the required level, and it is asked for new keys only: an existing key stays where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile

from keyclave.backends.backend import Backend
from keyclave.crypto.envelope_keys import DATA_KEY_SIZE
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    KeyclaveError,
    PolicyViolation,
)
from keyclave.models import AvailabilityStatus, BackendHealth, get_algorithm
from keyclave.models.backend import authentication_problem
from keyclave.services.instance import Instance
from keyclave.services.results import Candidate, Selection
from keyclave.state.records import StoredKey

__all__ = ["BackendSelector", "refused_by_ability"]


_WHAT_TO_DO = "Configure a backend that the policy takes; `keyclave backends select --explain` says what it refuses."
_RECENT = timedelta(minutes=5)
"""A check that is older says nothing of now: a monitor checks each minute. Nor does one of a clock that was ahead."""
_log = logging.getLogger("keyclave.backends")
_BELOW_KEY = "its level is below the one that the key requires (FR-014)"


class BackendSelector:
    """Walks the configured backends in order of precedence."""

    def __init__(self, instance: Instance) -> None:
        self._store = instance.store
        self._backends = instance.backends
        self._environment = instance.environment

    def select(self, algorithm: str | None = None) -> Selection:
        """Return the choice for a new key, with every candidate and why it was taken or refused.

        Args:
            algorithm: what the key will be; ``None`` asks for no particular algorithm.
        """
        candidates = tuple(self._candidates(algorithm))
        chosen = next((c.backend_id for c in candidates if c.accepted), None)
        return Selection(chosen=chosen, candidates=candidates)

    def choose(self, algorithm: str, backend_id: str | None) -> Backend:
        """Return the backend for a new key: the named one, or the first that may take it.

        Raises:
            ConfigurationError: no backend of that name is configured.
            PolicyViolation: the policy refuses the named backend, or every backend.
            CapabilityUnsupported: the named backend has no such algorithm.
            BackendUnavailable: the named backend cannot be opened.
        """
        if backend_id is not None:
            return self._able(backend_id, algorithm)
        candidates: list[Candidate] = []
        for candidate in self._candidates(algorithm):
            if candidate.accepted:
                _warn_of_those_away(candidates, candidate.backend_id)
                return self._backends.get(candidate.backend_id)
            candidates.append(candidate)
        reasons = "; ".join(f"{c.backend_id}: {c.reason}" for c in candidates)
        raise PolicyViolation(
            f"no backend may take a key of algorithm {algorithm} ({reasons})",
            next_step=_WHAT_TO_DO,
        )

    def choose_standby(self, key: StoredKey, algorithm: str, active: str) -> Backend:
        """Return the backend for the standby of a key: the first behind that of its active version that may take it.

        Args:
            key: the key.
            algorithm: what the standby will be.
            active: the backend of the active version.

        Raises:
            PolicyViolation: none may.
        """
        behind = list(dropwhile(lambda ranked: ranked[0] != active, self._ranked()))[1:]
        reasons = []
        for backend_id, backend_type in behind:
            candidate = self._judge(backend_id, backend_type, algorithm)
            if candidate.accepted and self._satisfies(backend_id, key):
                return self._backends.get(backend_id)
            reasons.append(f"{backend_id}: {_BELOW_KEY if candidate.accepted else candidate.reason}")
        problem = "; ".join(reasons) or "none is behind it in the precedence"
        raise PolicyViolation(
            f"no backend behind {active!r} may take a standby ({problem})",
            key_name=key.name,
            next_step="Configure a backend of the required level behind it in the precedence.",
        )

    def _satisfies(self, backend_id: str, key: StoredKey) -> bool:
        level = self._backends.get(backend_id).description.security_level
        return level.satisfies(key.required_security_level)

    def named(self, backend_id: str) -> Backend:
        """Return the named backend, if the policy lets it take keys at all.

        Raises:
            ConfigurationError: no backend of that name is configured.
            PolicyViolation: the policy refuses it.
            BackendUnavailable: it cannot be opened.
        """
        if backend_id not in self._backends.ids():
            raise ConfigurationError(
                f"no backend {backend_id!r} is configured",
                next_step=f"Use one of {', '.join(self._backends.ids())}, or configure it.",
            )
        if refused := self._refused_by_type(self._backends.plugin_of(backend_id)):
            raise PolicyViolation(refused, backend_id=backend_id, next_step=_WHAT_TO_DO)
        backend = self._backends.get(backend_id)
        if refused := self._refused_by_level(backend):
            raise PolicyViolation(refused, backend_id=backend_id, next_step=_WHAT_TO_DO)
        return backend

    def _able(self, backend_id: str, algorithm: str) -> Backend:
        backend = self.named(backend_id)
        if refused := refused_by_ability(backend, algorithm):
            raise CapabilityUnsupported(refused, backend_id=backend_id)
        return backend

    def _ranked(self) -> Iterator[tuple[str, str]]:
        """Yield the backends that are in the precedence, and their types, the first choice first."""
        for backend_type in dict.fromkeys(self._environment.backend_precedence_order):  # one may be named twice
            for backend_id in self._backends.ids():
                if self._backends.plugin_of(backend_id) == backend_type:
                    yield backend_id, backend_type

    def _candidates(self, algorithm: str | None) -> Iterator[Candidate]:
        for backend_id, backend_type in self._ranked():
            yield self._judge(backend_id, backend_type, algorithm)
        for backend_id in self._backends.ids():
            plugin = self._backends.plugin_of(backend_id)
            if plugin not in self._environment.backend_precedence_order:
                yield Candidate(
                    backend_id=backend_id, backend_type=plugin, accepted=False, reason="not in the precedence"
                )

    def _judge(self, backend_id: str, backend_type: str, algorithm: str | None) -> Candidate:
        looks: list[str] = []
        refused, is_away = None, False
        try:
            for refused, in_order in self._looks(backend_id, backend_type, algorithm):
                if refused is not None:
                    break
                looks.append(in_order)
        except KeyclaveError as error:
            refused, is_away = error.message, True
        return Candidate(
            backend_id=backend_id,
            backend_type=backend_type,
            accepted=refused is None,
            reason=refused or "available, allowed, and of the required level",
            looks=tuple(looks),
            is_away=is_away,
        )

    def _looks(self, backend_id: str, backend_type: str, algorithm: str | None) -> Iterator[tuple[str | None, str]]:
        """Look at one thing after another: yield why it refuses the backend, and else what is in order.

        Raises:
            KeyclaveError: the backend cannot be opened, or is UNAVAILABLE.
        """
        allowed_in = self._environment.environment_type.value
        yield self._refused_by_type(backend_type), f"{backend_type} is allowed in {allowed_in}"
        backend = self._backends.get(backend_id)
        description = backend.description
        yield None, _authentication(backend)
        evidence = " ".join(description.evidence)
        yield None, f"its level is {description.security_level.value}: {evidence}"
        if refused := self._refused_by_level(backend):
            yield refused, ""
        health = self._recent_health(backend_id)
        if health is None:
            yield None, "it was not checked lately"
        else:
            _require_available(health)
            yield None, f"it is {health.availability_status.value}"
        if algorithm is not None:
            yield refused_by_ability(backend, algorithm), f"it has {algorithm}"

    def _recent_health(self, backend_id: str) -> BackendHealth | None:
        """Return how the backend is, if that is known: without a monitor, what a check once found says little."""
        with self._store.read() as state:
            health = state.health.get(backend_id)
        recent = health is not None and abs(datetime.now(UTC) - health.last_health_check) < _RECENT
        return health if recent else None

    def _refused_by_type(self, backend_type: str) -> str | None:
        if backend_type in self._environment.allowed_backend_types:
            return None
        return f"{backend_type} is not among the allowed backends"

    def _refused_by_level(self, backend: Backend) -> str | None:
        level, required = backend.description.security_level, self._environment.required_security_level
        if level.satisfies(required):
            return None
        return f"its level is {level.value}, and {required.value} is required (FR-014)"


def _authentication(backend: Backend) -> str:
    """Say how a backend authenticates. One that may not do it so is not open."""
    description = backend.description
    method = description.authentication_method
    problem = authentication_problem(backend.provider_type, method)
    if problem is None:
        return f"it authenticates by {method.value}"
    named = "; the settings name its source" if description.credential_named else ""
    return f"it authenticates by {method.value}, with a warning: that {problem} (FR-023){named}"


def _require_available(health: BackendHealth) -> None:
    if health.availability_status is not AvailabilityStatus.UNAVAILABLE:
        return
    result = health.health_check_status
    detail = "" if result is None or not result.detail else f": {result.detail}"
    raise BackendUnavailable(
        f"it is UNAVAILABLE by its check at {health.last_health_check:%Y-%m-%d %H:%M:%S} UTC{detail} (FR-016)"
    )


def _warn_of_those_away(refused: list[Candidate], chosen: str) -> None:
    """Let a key go past a backend that should have taken it, and may again in a minute, but not in silence."""
    for candidate in refused:
        if candidate.is_away:
            _log.warning(
                "a new key goes to backend %r, and not to %r, which comes before it: %s",
                chosen,
                candidate.backend_id,
                candidate.reason,
            )


def refused_by_ability(backend: Backend, algorithm: str) -> str | None:
    """Return why a backend is no place for a key of an algorithm: one that cannot be used is better not made."""
    support, signs = backend.support(algorithm), get_algorithm(algorithm).signs
    if support is None:
        return f"it has no {algorithm}"
    missing = [hook for hook in (("sign",) if signs else ("encrypt", "decrypt")) if not backend.has(hook)]
    if missing:
        return f"it has {algorithm}, but does not implement {' and '.join(missing)}"
    if signs:
        return None
    if not support.binds_aad:
        return f"its {algorithm} keys do not bind associated data"
    if support.max_plaintext is not None and support.max_plaintext < DATA_KEY_SIZE:
        return f"its {algorithm} keys encrypt at most {support.max_plaintext} bytes, less than a data key"
    return None
