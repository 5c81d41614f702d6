"""The composition root: settings in, a working `Keyclave` out. With `keyclave.assembly`, it knows every part."""

from __future__ import annotations

import getpass
import logging
import os
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self
from uuid import UUID

from keyclave.assembly import backends, detection, environment, rotation_policy, state_url, where_it_runs
from keyclave.audit.log import AuditLog
from keyclave.backends.manager import BackendManager
from keyclave.plugin.files import private_directory
from keyclave.services.backends.health import HealthService
from keyclave.services.backends.lost_levels import LostLevels
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.backends.service import BackendService
from keyclave.services.fallback.signing import Fallback
from keyclave.services.fallback.standby_keys import Standbys
from keyclave.services.instance import Instance
from keyclave.services.keys.adoption import Adoption
from keyclave.services.keys.bindings import EpochWatch
from keyclave.services.keys.cancellation import Cancellation
from keyclave.services.keys.creation import Creation
from keyclave.services.keys.destruction import Destruction
from keyclave.services.keys.encryption import Encryption
from keyclave.services.keys.new_keys import RotationDefaults
from keyclave.services.keys.service import KeyService
from keyclave.services.keys.signing import Signer
from keyclave.services.keys.verification import Verifier
from keyclave.services.migration.approval import Approving
from keyclave.services.migration.planning import Planning
from keyclave.services.migration.retirement import Retirement
from keyclave.services.migration.reversal import Reversal
from keyclave.services.migration.run import MigrationRun
from keyclave.services.migration.service import MigrationService
from keyclave.services.migration.verification import MigrationVerifier
from keyclave.services.names import require_principal
from keyclave.services.ownership.owners import Owner
from keyclave.services.recording import Recorder
from keyclave.services.recovery import Recovery
from keyclave.services.results import DetectionResult
from keyclave.services.rotation.due_work import DueWork
from keyclave.services.rotation.promotion import Promotion
from keyclave.services.rotation.renewal import Renewal
from keyclave.services.rotation.rollback import Rollback
from keyclave.services.rotation.service import RotationService
from keyclave.settings import Settings, load
from keyclave.state.store import Store

__all__ = ["Keyclave", "detect", "open", "permissions_policy"]

_log = logging.getLogger("keyclave")


class Keyclave:
    """An opened instance: its keys, and what keeps them. A context manager, safe to share between threads.

    Attributes:
        keys: create, use and end keys.
        rotation: give keys new versions.
        migration: let keys go from one backend to another.
        backends: what is configured.
        health: how the backends are, and the threads that watch them.
        audit: the audit log: ``records`` and ``verify``.
        recovery: what interrupted changes left open.
        recovered: the interrupted changes that were finished or undone when this instance was opened.
        settings: the settings that it was opened with; where they name no type of environment, the one that evidence
            implies.
        environment: what the environment requires.
        instance_id: the identity of the instance.
        principal: who works with it, as the audit log names them.
    """

    def __init__(self, settings: Settings, principal: str) -> None:
        require_principal(principal)
        self._given = settings
        self.settings = where_it_runs(settings)
        self.principal = principal
        self._process = os.getpid()
        with ExitStack() as opened:
            self._open(opened)
            self._closing = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        """Open every part. What was opened is closed again, the last first, by ``close`` or if a later part fails."""
        settings, principal = self.settings, self.principal
        directory = private_directory(settings.state.directory)
        self._store = Store.open(state_url(settings), key_file=settings.state.effective_key_file)
        opened.callback(self._store.close)
        self.instance_id: UUID = self._store.instance_id
        self.environment = environment(self._store, settings, principal)
        self._owner = Owner(self._store, directory / "owners")
        opened.callback(self._owner.close)
        self.audit = AuditLog(
            self._store,
            instance_id=self.instance_id,
            enabled=self.environment.audit_requirements.enable_audit_logging,
        )
        opened.callback(self.audit.close)
        self._backends = backends(settings, self.instance_id)
        opened.callback(self._backends.close)
        recorder = Recorder(self.audit, principal)
        instance = Instance(
            store=self._store,
            audit=self.audit,
            backends=self._backends,
            environment=self.environment,
            principal=principal,
            owner=self._owner,
            epoch=EpochWatch(self._store, self._backends, LostLevels(self._backends, self.audit, recorder)),
        )
        selector = BackendSelector(instance)
        defaults = RotationDefaults(
            policy=rotation_policy(settings), minimum_interval=settings.environment.rotation.minimum_interval
        )
        self.recovery = Recovery(instance, recorder)
        opened.callback(self.recovery.stop)
        destruction = Destruction(instance, recorder)
        renewal = Renewal(instance, recorder, self.recovery)
        standbys = Standbys(instance, recorder, self.recovery, selector)
        rollback = Rollback(instance, recorder)
        self.rotation = RotationService(
            instance,
            renewal=renewal,
            promotion=Promotion(instance, recorder),
            rollback=rollback,
            due_work=DueWork(instance, self.recovery, renewal=renewal, standbys=standbys, destruction=destruction),
        )
        opened.callback(self.rotation.stop)
        self.migration = _migration(instance, recorder, self.recovery, selector, destruction)
        self.health = HealthService(instance, recorder)
        opened.callback(self.health.stop)
        self.backends = BackendService(instance, self.health, selector)
        signer = Signer(instance, recorder, rollback)
        self.keys = KeyService(
            instance,
            creation=Creation(
                instance, recorder, self.recovery, selector=selector, standbys=standbys, defaults=defaults
            ),
            adoption=Adoption(instance, recorder, self.recovery, selector, defaults),
            standbys=standbys,
            signer=Fallback(instance, recorder, signer, rollback) if standbys.enabled else signer,
            verifier=Verifier(instance, recorder),
            encryption=Encryption(instance, recorder),
            destruction=destruction,
            cancellation=Cancellation(instance, recorder),
        )
        self.recovered = self.recovery.run()

    def detect(self, *, network: bool | None = None, refresh: bool = False) -> DetectionResult:
        """Return where this process runs, and what shows it; see `keyclave.detect`."""
        return _detect(self._given, self._backends, network=network, refresh=refresh)

    def close(self) -> None:
        """Close the backends, the audit log and the state. A second call does nothing.

        Nor does a call in a forked child: what is open is its parent's, whose threads may have been at work in it.

        What the threads of ``health.start``, ``recovery.start`` and ``rotation.start`` are in the middle of is waited
        for, and so is each backend's own end. A call that hangs is given up at its time limit: 5 seconds for most, 60
        for the slowest.
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


def _migration(
    instance: Instance, recorder: Recorder, recovery: Recovery, selector: BackendSelector, destruction: Destruction
) -> MigrationService:
    planning = Planning(instance, recorder, selector)
    return MigrationService(
        instance,
        planning=planning,
        approving=Approving(instance, recorder),
        run=MigrationRun(instance, recorder, recovery, selector, planning),
        verifier=MigrationVerifier(instance, recorder),
        reversal=Reversal(instance, recorder, recovery),
        retirement=Retirement(instance, recorder, destruction),
    )


def open(  # noqa: A001  the name applications use: keyclave.open
    config: str | os.PathLike[str] | Settings | None = None, *, principal: str | None = None
) -> Keyclave:
    """Open Keyclave, and finish or undo what an interrupted process left behind.

    Settings that name no type of environment get the rules of production where variables, files or the firmware show
    a cloud or Kubernetes, and those of ``local``, with a warning, where they do not. The network is not asked.

    Args:
        config: the settings, or the TOML file with them. ``None`` looks for ``KEYCLAVE_CONFIG``, then
            ``keyclave.toml`` in the working directory, then the user's configuration directory; with none of
            them there is one software backend, and a warning says so.
        principal: who works with it, for the audit log, 1 to 256 printable characters; ``None`` takes the name of
            the operating system's user.

    Raises:
        ConfigurationError: the settings cannot be used, or break a rule of the environment that this is.
        InvalidArgument: the principal is not one.
        IntegrityError: the state was changed behind Keyclave's back.
        Conflict: another process keeps the state locked.
    """
    settings = config if isinstance(config, Settings) else load(config)
    clave = Keyclave(settings, _current_user() if principal is None else principal)
    if settings.is_default:
        _log.warning(
            "no backend is configured: keys are kept in software in %s; this is for local use only",
            settings.state.directory,
        )
    return clave


def detect(
    config: str | os.PathLike[str] | Settings | None = None, *, network: bool | None = None, refresh: bool = False
) -> DetectionResult:
    """Return where this process runs, and what shows it (FR-002). Neither the state nor a backend is opened.

    Args:
        config: as for `open`.
        network: whether the metadata servers of the clouds may be asked; ``None`` leaves it to the settings.
        refresh: whether they are asked even if what they answered not long ago is remembered.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    settings = config if isinstance(config, Settings) else load(config)
    with closing(backends(settings, UUID(int=0))) as manager:
        return _detect(settings, manager, network=network, refresh=refresh)


def _detect(settings: Settings, manager: BackendManager, *, network: bool | None, refresh: bool) -> DetectionResult:
    allowed = settings.environment.detection.network if network is None else network
    return detection(settings, manager).detect(network=allowed, refresh=refresh)


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
    with closing(backends(settings, UUID(int=0))) as manager:
        return manager.permissions_policy(name)


def _current_user() -> str:
    try:
        return f"os-user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"os-user:{os.getuid()}" if hasattr(os, "getuid") else "os-user:unknown"
