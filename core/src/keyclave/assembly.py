"""Make the parts of an instance from the settings."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

from pydantic import SecretStr, ValidationError

from keyclave.backends.manager import BackendInstance, BackendManager, CryptoFunctions, PluginPolicy
from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.detectors import DETECTORS
from keyclave.errors import ConfigurationError
from keyclave.models import (
    AuditConfiguration,
    EnvironmentConfiguration,
    EnvironmentType,
    FallbackPolicyConfiguration,
    RotationPolicy,
)
from keyclave.models.base import problems_of
from keyclave.services.detection.cache import DetectionCache
from keyclave.services.detection.service import DetectionService
from keyclave.services.results import DetectionResult
from keyclave.settings import Settings
from keyclave.state.databases import database_at
from keyclave.state.store import Store

__all__ = ["backends", "detection", "environment", "rotation_policy", "state_url", "where_it_runs"]

_log = logging.getLogger("keyclave")
_NO_INSTANCE = UUID(int=0)


def where_it_runs(settings: Settings) -> Settings:
    """Return the settings with a type of environment: the one that they name, or else the one that evidence implies.

    Raises:
        ConfigurationError: evidence implies an environment whose rules the settings break.
    """
    if settings.configured_type is not None:
        return settings
    with closing(backends(settings, _NO_INSTANCE)) as manager:
        found = detection(settings, manager).look()
    for warning in found.warnings:
        _log.warning("%s", warning)
    try:
        return settings.in_environment(found.environment_type)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(
        f"{problem}; this is taken for {found.environment_type.value}, since {_reason(found)}",
        next_step="Set [environment] type, or KEYCLAVE_ENVIRONMENT__TYPE, to what this is, and configure a backend.",
    )


def _reason(found: DetectionResult) -> str:
    tightening = (each for each in found.evidence if each.environment_type is found.environment_type)
    return " and ".join(observation for each in tightening for observation in each.observations)


def detection(settings: Settings, manager: BackendManager) -> DetectionService:
    """Return what finds out where we run."""
    wanted = settings.environment.detection
    return DetectionService(
        manager,
        DetectionCache(settings.detection_cache, expiry=wanted.expiry, negative_expiry=wanted.negative_expiry),
        precedence=settings.environment.precedence,
        configured=settings.configured_type,
        time_limit=wanted.time_limit.total_seconds(),
    )


def state_url(settings: Settings) -> SecretStr:
    """Return where the state is.

    Raises:
        ConfigurationError: in production, a server on another machine that would not be verified.
    """
    url = settings.state.effective_url
    if settings.environment.type is EnvironmentType.PRODUCTION:
        database = database_at(url, 0)
        if not database.verifies_server():
            raise ConfigurationError(
                f"{database.place()} is on another machine, and is not verified: production refuses that",
                next_step="Add sslmode=verify-full&sslrootcert=FILE to the options of [state] url.",
            )
    return url


def environment(store: Store, settings: Settings, principal: str) -> EnvironmentConfiguration:
    """Return what the settings require, and record it in the state with who configured it first and when.

    Raises:
        ConfigurationError: the settings break a rule for the environment.
    """
    wanted = settings.environment
    now = datetime.now(UTC)
    with store.read() as state:
        stored = state.environments.get(wanted.type)
    plugins = (backend.plugin for backend in settings.effective_backends.values())
    try:
        configured = EnvironmentConfiguration(
            environment_type=wanted.type,
            required_security_level=wanted.effective_level,
            allowed_backend_types=wanted.allowed_backends or tuple(dict.fromkeys((*wanted.precedence, *plugins))),
            backend_precedence_order=wanted.precedence,
            key_rotation_interval=wanted.rotation.interval,
            fallback_policy=FallbackPolicyConfiguration(
                enabled=wanted.fallback.enabled,
                warning_level=wanted.fallback.warning_level,
                max_fallback_duration=wanted.fallback.max_duration,
            ),
            audit_requirements=AuditConfiguration(
                enable_audit_logging=wanted.audit.enabled, retention_period=wanted.audit.retention
            ),
            created_at=now if stored is None else stored.created_at,
            updated_at=now if stored is None else stored.updated_at,
            created_by=principal if stored is None else stored.created_by,
        )
    except ValidationError as error:
        problems = problems_of(error)
    else:
        if configured != stored:
            configured = configured.model_copy(update={"updated_at": max(now, configured.created_at)})
            with store.write() as state:
                state.environments.put(configured)
        return configured
    raise ConfigurationError(f"[environment] {problems}")


def rotation_policy(settings: Settings) -> RotationPolicy:
    """Return the policy for keys that are created without one of their own.

    Raises:
        ConfigurationError: the settings break a rule for it.
    """
    rotation = settings.environment.rotation
    try:
        return RotationPolicy(
            automatic_rotation_enabled=rotation.automatic,
            rotation_interval=rotation.interval,
            retain_deprecated_versions=rotation.retain_deprecated,
            deprecated_version_retention_period=rotation.retention,
            validation_period=rotation.validation_period,
        )
    except ValidationError as error:
        problems = problems_of(error)
    raise ConfigurationError(f"[environment.rotation] {problems}")


def backends(settings: Settings, instance_id: UUID) -> BackendManager:
    """Return the configured backends, none of them opened."""
    configured = settings.effective_backends
    production = settings.environment.type is EnvironmentType.PRODUCTION
    allow = settings.plugins.allow
    if allow is None and production:
        allow = tuple(backend.plugin for backend in configured.values())
    return BackendManager(
        {
            backend_id: BackendInstance(
                id=backend_id,
                plugin=backend.plugin,
                settings=backend.plugin_settings,
                data_directory=settings.state.directory / "backends" / backend_id,
                accept_simulator=backend.accept_simulator,
            )
            for backend_id, backend in configured.items()
        },
        PluginPolicy(
            allow=None if allow is None else frozenset(allow),
            block=frozenset(settings.plugins.block),
            pins=settings.plugins.pin,
        ),
        instance_id=instance_id,
        environment_type=settings.environment.type,
        crypto=CryptoFunctions(
            bind_verifier=bind_verifier,
            bind_digest=bind_digest,
            p1363_to_der=p1363_to_der,
            check_public_key=check_public_key,
            load_public_key=load_public_key,
        ),
        detectors=DETECTORS,
    )
