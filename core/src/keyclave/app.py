"""The composition root: settings in, a working `Keyclave` out. The one module that knows every part."""

from __future__ import annotations

import getpass
import logging
import os
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import ValidationError

from keyclave.audit.log import AuditLog
from keyclave.backends.manager import BackendInstance, BackendManager, CryptoFunctions, PluginPolicy
from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import ConfigurationError
from keyclave.models import (
    AuditConfiguration,
    EnvironmentConfiguration,
    EnvironmentType,
    FallbackPolicyConfiguration,
    RotationPolicy,
)
from keyclave.plugin.files import private_directory
from keyclave.services.adoption import Adoption
from keyclave.services.backends import BackendService
from keyclave.services.bindings import EpochWatch
from keyclave.services.cancellation import Cancellation
from keyclave.services.creation import Creation
from keyclave.services.destruction import Destruction
from keyclave.services.due_work import DueWork
from keyclave.services.encryption import Encryption
from keyclave.services.health import HealthService
from keyclave.services.instance import Instance
from keyclave.services.keys import KeyService
from keyclave.services.names import require_principal
from keyclave.services.new_keys import RotationDefaults
from keyclave.services.owners import Owner
from keyclave.services.promotion import Promotion
from keyclave.services.recording import Recorder
from keyclave.services.recovery import Recovery
from keyclave.services.renewal import Renewal
from keyclave.services.rollback import Rollback
from keyclave.services.rotation import RotationService
from keyclave.services.selection import BackendSelector
from keyclave.services.signing import Signer
from keyclave.services.verification import Verifier
from keyclave.settings import Settings, load
from keyclave.state.store import Store

__all__ = ["Keyclave", "open", "permissions_policy"]

_log = logging.getLogger("keyclave")


class Keyclave:
    """An opened instance: its keys, and what keeps them. A context manager, safe to share between threads.

    Attributes:
        keys: create, use and end keys.
        rotation: give keys new versions.
        backends: what is configured.
        health: how the backends are, and the threads that watch them.
        audit: the audit log: ``records`` and ``verify``.
        recovery: what interrupted changes left open.
        recovered: the interrupted changes that were finished or undone when this instance was opened.
        settings: the settings that it was opened with.
        environment: what the environment requires.
        instance_id: the identity of the instance.
        principal: who works with it, as the audit log names them.
    """

    def __init__(self, settings: Settings, principal: str) -> None:
        require_principal(principal)
        self.settings = settings
        self.principal = principal
        self._process = os.getpid()
        with ExitStack() as opened:
            self._open(opened)
            self._closing = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        """Open every part. What was opened is closed again, the last first, by ``close`` or if a later part fails."""
        settings, principal = self.settings, self.principal
        directory = private_directory(settings.state.directory)
        self._store = Store.open(settings.state.effective_url, key_file=settings.state.effective_key_file)
        opened.callback(self._store.close)
        self.instance_id: UUID = self._store.instance_id
        self.environment = _environment(self._store, settings, principal)
        self._owner = Owner(directory / "owners")
        opened.callback(self._owner.close)
        self.audit = AuditLog(
            self._store,
            instance_id=self.instance_id,
            enabled=self.environment.audit_requirements.enable_audit_logging,
        )
        opened.callback(self.audit.close)
        self._backends = _backends(settings, self.instance_id)
        opened.callback(self._backends.close)
        instance = Instance(
            store=self._store,
            audit=self.audit,
            backends=self._backends,
            environment=self.environment,
            principal=principal,
            owner=self._owner,
            epoch=EpochWatch(self._store),
        )
        recorder = Recorder(self.audit, principal)
        selector = BackendSelector(instance)
        defaults = RotationDefaults(
            policy=_rotation_policy(settings), minimum_interval=settings.environment.rotation.minimum_interval
        )
        self.recovery = Recovery(instance, recorder)
        destruction = Destruction(instance, recorder)
        renewal = Renewal(instance, recorder, self.recovery)
        self.rotation = RotationService(
            instance,
            renewal=renewal,
            promotion=Promotion(instance, recorder),
            rollback=Rollback(instance, recorder),
            due_work=DueWork(instance, self.recovery, renewal, destruction),
        )
        opened.callback(self.rotation.stop)
        self.health = HealthService(instance, recorder)
        opened.callback(self.health.stop)
        self.backends = BackendService(instance, self.health, selector)
        self.keys = KeyService(
            instance,
            creation=Creation(instance, recorder, self.recovery, selector, defaults),
            adoption=Adoption(instance, recorder, self.recovery, selector, defaults),
            signer=Signer(instance, recorder, self.rotation.rollback),
            verifier=Verifier(instance, recorder),
            encryption=Encryption(instance, recorder),
            destruction=destruction,
            cancellation=Cancellation(instance, recorder),
        )
        self.recovered = self.recovery.run()

    def close(self) -> None:
        """Close the backends, the audit log and the state. A second call does nothing.

        Nor does a call in a forked child: what is open is its parent's, whose threads may have been at work in it.
        """
        if os.getpid() == self._process:
            self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "environment"):  # it could not be opened, and a traceback shows it
            return "<Keyclave, not opened>"
        return f"<Keyclave {self.environment.environment_type.value} {self.instance_id}>"


def open(  # noqa: A001  the name applications use: keyclave.open
    config: str | os.PathLike[str] | Settings | None = None, *, principal: str | None = None
) -> Keyclave:
    """Open Keyclave, and finish or undo what an interrupted process left behind.

    Args:
        config: the settings, or the TOML file with them. ``None`` looks for ``KEYCLAVE_CONFIG``, then
            ``keyclave.toml`` in the working directory, then the user's configuration directory; with none of
            them the environment is ``local`` with one software backend, and a warning says so.
        principal: who works with it, for the audit log, 1 to 256 printable characters; ``None`` takes the name of
            the operating system's user.

    Raises:
        ConfigurationError: the settings cannot be used.
        InvalidArgument: the principal is not one.
        IntegrityError: the state was changed behind Keyclave's back.
        Conflict: another process keeps the state locked.
    """
    settings = config if isinstance(config, Settings) else load(config)
    if settings.is_default:
        _log.warning(
            "no backend is configured: keys are kept in software in %s; this is for local use only",
            settings.state.directory,
        )
    return Keyclave(settings, _current_user() if principal is None else principal)


def permissions_policy(settings: Settings, name: str) -> str:
    """Return the least-privilege policy for a configured backend, or for any backend of a plugin.

    Neither the state nor a backend is opened.

    Args:
        settings: which backends are configured.
        name: a backend, or else a plugin.

    Raises:
        PluginError: the plugin cannot be used.
        CapabilityUnsupported: it has no such policy.
        ConfigurationError: the settings do not fit the plugin, or none can be made from them.
    """
    with closing(_backends(settings, UUID(int=0))) as backends:
        return backends.permissions_policy(name)


def _current_user() -> str:
    try:
        return f"os-user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"os-user:{os.getuid()}" if hasattr(os, "getuid") else "os-user:unknown"


def _environment(store: Store, settings: Settings, principal: str) -> EnvironmentConfiguration:
    """Return what the settings require, and record it in the state with who configured it first and when."""
    wanted = settings.environment
    now = datetime.now(UTC)
    with store.read() as state:
        stored = state.environments.get(wanted.type)
    plugins = (backend.plugin for backend in settings.effective_backends.values())
    try:
        environment = EnvironmentConfiguration(
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
        problems = "; ".join(e["msg"] for e in error.errors(include_input=False, include_url=False))
    else:
        if environment != stored:
            environment = environment.model_copy(update={"updated_at": max(now, environment.created_at)})
            with store.write() as state:
                state.environments.put(environment)
        return environment
    raise ConfigurationError(f"[environment] {problems}")


def _rotation_policy(settings: Settings) -> RotationPolicy:
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
        problems = "; ".join(e["msg"] for e in error.errors(include_input=False, include_url=False))
    raise ConfigurationError(f"[environment.rotation] {problems}")


def _backends(settings: Settings, instance_id: UUID) -> BackendManager:
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
    )
