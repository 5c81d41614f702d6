"""What is interrupted, and what must be there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import keyclave
from keyclave import Keyclave

from core.tests.services.long_ago import long_ago
from tests.sweep.instance import MAIN, OTHER, SHARED

__all__ = ["MESSAGE", "OPERATIONS", "SWEPT", "Operation", "prepare"]

MESSAGE = b"a message"
PERIOD = timedelta(hours=1)
Run = Callable[[Keyclave], Any]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        run: does it, on an instance that `prepare` made.
        name: what the audit log calls it.
        before: does what must have happened just before.
        dies_after: for a recovery: the step after which the operation was interrupted that is recovered.
    """

    run: Run
    name: str
    before: Run | None = None
    dies_after: str | None = None


def _adopt(backend: str) -> Run:
    return lambda clave: clave.keys.adopt("new", next(iter(clave.keys.adoptable(backend))).uri, backend=backend)


def _begin_validation(clave: Keyclave) -> object:
    return clave.rotation.rotate("k", validation_period=PERIOD)


def _let_validation_end(clave: Keyclave) -> None:
    """Begin a validation period that is over by the time that the instance is opened again."""
    clave.rotation.rotate("k", validation_period=timedelta(microseconds=1))


def _schedule(clave: Keyclave) -> object:
    return clave.keys.destroy("later", 1)


def _plan(*, wrappable: bool) -> Run:
    """Let the migration of a key be planned, and be approved by somebody else."""

    def plan(clave: Keyclave) -> None:
        clave.keys.create("moving", _algorithm(clave), backend=MAIN, wrappable=wrappable)
        planned = clave.migration.plan(["moving"], OTHER)
        with keyclave.open(clave.settings, principal="somebody else") as approver:
            approver.migration.approve(planned.plan_id, "test")

    return plan


def _migrated(*, wrappable: bool) -> Run:
    """Let a key be migrated so long ago that its source need not be kept any more."""

    def migrate(clave: Keyclave) -> None:
        with long_ago():
            _plan(wrappable=wrappable)(clave)
            _migrate(clave)
        clave.rotation.confirm_clock()

    return migrate


def _migrate(clave: Keyclave) -> object:
    return clave.migration.run(clave.migration.plans()[0].plan_id)


def _revert(clave: Keyclave) -> object:
    return clave.migration.rollback(clave.migration.list()[0].migration_id, "test")


def _retire(clave: Keyclave) -> object:
    return clave.migration.retire(clave.migration.list()[0].migration_id, confirm="moving")


def _allow_fallback(clave: Keyclave) -> None:
    """Let the policy allow fallback from the next opening on, in a backend that was used before."""
    clave.keys.create("other", "ED25519", backend=OTHER)
    assert clave.settings.source is not None
    with clave.settings.source.open("a") as settings:
        settings.write("[environment.fallback]\nenabled = true\n")


def _stand_by(clave: Keyclave) -> None:
    """Give a key a standby."""
    _allow_fallback(clave)
    with keyclave.open(clave.settings.source) as allowed:
        allowed.keys.add_standby("k")


_OPERATIONS: Mapping[str, Operation] = {
    "create": Operation(lambda clave: clave.keys.create("new", _algorithm(clave), backend=MAIN), "KEY_GENERATION"),
    "adopt": Operation(_adopt(MAIN), "ADOPT"),
    "adopt-shared": Operation(_adopt(SHARED), "ADOPT"),
    "sign": Operation(lambda clave: clave.keys.sign("k", MESSAGE), "SIGN"),
    "sign-both": Operation(lambda clave: clave.keys.sign("k", MESSAGE), "SIGN", _begin_validation),
    "rotate": Operation(lambda clave: clave.rotation.rotate("k"), "ROTATE"),
    "validate": Operation(_begin_validation, "ROTATE"),
    "promote": Operation(lambda clave: clave.rotation.promote("k"), "PROMOTE", _begin_validation),
    "rollback": Operation(lambda clave: clave.rotation.rollback("k", "test"), "ROLLBACK", _begin_validation),
    "revoke": Operation(lambda clave: clave.keys.revoke("k", "test"), "REVOKE"),
    "revoke-validating": Operation(lambda clave: clave.keys.revoke("k", "test"), "REVOKE", _begin_validation),
    "destroy": Operation(lambda clave: clave.keys.destroy("old", 1), "DESTROY"),
    "destroy-scheduled": Operation(_schedule, "DESTROY"),
    "cancel": Operation(lambda clave: clave.keys.cancel_destruction("later", 1), "CANCEL_DESTRUCTION", _schedule),
    "migrate": Operation(_migrate, "MIGRATE", _plan(wrappable=True)),
    "rekey": Operation(_migrate, "MIGRATE", _plan(wrappable=False)),
    "revert": Operation(_revert, "REVERT_MIGRATION", _migrated(wrappable=True)),
    "revert-rekeyed": Operation(_revert, "REVERT_MIGRATION", _migrated(wrappable=False)),
    "retire": Operation(_retire, "RETIRE_SOURCE", _migrated(wrappable=True)),
    "create-standby": Operation(
        lambda clave: clave.keys.create("new", _algorithm(clave), backend=MAIN), "KEY_GENERATION", _allow_fallback
    ),
    "renew-standby": Operation(lambda clave: clave.keys.add_standby("k"), "ADD_STANDBY", _stand_by),
    "remove-standby": Operation(lambda clave: clave.keys.remove_standby("k"), "REMOVE_STANDBY", _stand_by),
}
_DIES_AFTER = {
    "create": "after Backend.create_key",
    "adopt": "after Backend.adopt_key",
    "adopt-shared": "after Backend.adopt_key",
    "rotate": "after Backend.bind_signer",
    "rollback": "after Backend.destroy_key",
    "revoke": "after Session.commit",
    "destroy": "after Backend.destroy_key",
    "cancel": "after Backend.cancel_destruction",
    "migrate": "after Backend.import_key",
    "rekey": "after Backend.create_key",
    "revert": "after Backend.destroy_key",
    "retire": "after Backend.destroy_key",
    "create-standby": "after Backend.bind_signer",
}
"""The step at which each operation is interrupted, so that recovery finds it half done."""


_IN_SHARED = ("destroy-scheduled", "cancel", "recover-cancel")


def _nothing(_: Keyclave) -> None:
    """Opening the instance is all: it recovers."""


OPERATIONS: Mapping[str, Operation] = {
    **_OPERATIONS,
    **{
        f"recover-{name}": Operation(_OPERATIONS[name].run, "RECOVER", _OPERATIONS[name].before, step)
        for name, step in _DIES_AFTER.items()
    },
    "recover-validation": Operation(_nothing, "PROMOTE", _let_validation_end, ""),
}
"""By name. That of a recovery is followed by what is recovered."""
SWEPT: Mapping[str, tuple[str, ...]] = {
    "software": tuple(name for name in OPERATIONS if name not in ("adopt", "recover-adopt")),
    "softhsm": tuple(name for name in OPERATIONS if "shared" not in name and name not in _IN_SHARED),
}
"""Which operations are swept with which backend: the software backend adopts no keys, and the other operations in
the shared backend have nothing to do with the token."""


def prepare(clave: Keyclave) -> None:
    """Make the keys that every operation finds."""
    algorithm = _algorithm(clave)
    clave.keys.create("k", algorithm, backend=MAIN)
    with long_ago():
        clave.keys.create("old", algorithm, backend=MAIN)
        clave.rotation.rotate("old")
        clave.keys.create("later", "ED25519", backend=SHARED)
        clave.rotation.rotate("later")
    clave.keys.create("gone", algorithm, backend=MAIN)
    clave.keys.revoke("gone", "test")


def _algorithm(clave: Keyclave) -> str:
    """Return the algorithm that the main backend is swept with."""
    return "ED25519" if clave.settings.backends[MAIN].plugin == "software" else "ECDSA_P256"
