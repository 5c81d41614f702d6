"""An opened backend: the object that a plugin returned, its hooks in a manager of its own, its description.

Each one gets a private plugin manager that holds exactly its object: no call can reach another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from pluggy import PluginManager

from keyclave.backends.backend import Backend
from keyclave.backends.calls import HookCalls
from keyclave.backends.contract import contract_problem
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.deadlines import Overdue, Workers
from keyclave.backends.description import description_problem
from keyclave.backends.failures import describe
from keyclave.backends.limits import TimeLimits
from keyclave.backends.registration import new_manager, register
from keyclave.backends.report import Fault, PluginStage
from keyclave.backends.rereading import Rereading
from keyclave.backends.retrying import Retries
from keyclave.errors import PluginLoadError, PolicyViolation
from keyclave.plugin.hookspecs import Health, KeyStorage, Signing
from keyclave.plugin.records import BackendContext, BackendDescription, Record

__all__ = ["Broken", "Opened", "admit", "close_late", "close_object", "take"]

_log = logging.getLogger("keyclave.backends")


class Broken(Exception):
    """The plugin broke its contract while it opened the backend."""

    def __init__(self, stage: PluginStage, reason: str, *, final: bool = True) -> None:
        super().__init__(reason)
        self.fault = Fault(stage=stage, reason=reason, final=final)


class Opened(Record, frozen=True, kw_only=True):
    """An opened backend and how to close it.

    Attributes:
        backend: what services call.
        level: reads its level again.
        calls: its hooks.
        target: the object that the plugin returned.
    """

    backend: Backend
    level: Rereading
    calls: HookCalls
    target: object

    def close(self, seconds: float) -> None:
        """Take the backend out of use and close it, for at most ``seconds``. Never raises."""
        self.calls.faults.append("it is closed")
        close_object(self.target, self.calls.workers, seconds)
        self.calls.workers.close()


def take(
    target: object,
    plugin: str,
    context: BackendContext,
    *,
    limits: TimeLimits,
    crypto: CryptoFunctions,
    on_fault: Callable[[Fault], None],
    retries: Retries,
) -> Opened:
    """Return an object with hooks as an opened backend; close the object if it cannot be one.

    Args:
        target: what ``open_backend`` returned.
        plugin: the name of the plugin that it belongs to.
        context: what it was opened with.
        limits: how long its hooks may take.
        crypto: what its guards are made of.
        on_fault: is told once when it breaks its contract.
        retries: repeats its calls, if it is on a network.

    Raises:
        Broken: it breaks its contract.
        KeyclaveError: what ``describe`` raised.
    """
    manager = new_manager(KeyStorage, Signing, Health)
    calls = HookCalls(context.backend_id, manager, limits, on_fault)
    try:
        _register(manager, target, calls, limits.other)
        asked_at = monotonic()
        description = _describe(calls, plugin, accept_simulator=context.accept_simulator)
        calls.place(description.location, retries)
    except BaseException:
        close_object(target, calls.workers, limits.other)
        calls.workers.close()
        raise
    backend = Backend(context, calls, description, crypto)
    return Opened(backend=backend, level=Rereading(backend, plugin, asked_at), calls=calls, target=target)


def admit(opened: Opened, limits: TimeLimits) -> Opened:
    """Return an opened backend that keeps the rules of its environment; close any other one.

    Raises:
        PolicyViolation: a rule for backends in this environment is broken.
    """
    try:
        opened.backend.standing()
    except PolicyViolation:
        opened.close(limits.other)
        raise
    return opened


def _register(manager: PluginManager, target: object, calls: HookCalls, seconds: float) -> None:
    """Register the object's hooks, in a worker: looking at its attributes may run code of the plugin."""
    try:
        calls.in_worker("register", lambda: register(manager, target, calls.backend_id, required=["describe"]))
    except PluginLoadError as error:
        problem = error.message
    except Overdue:
        problem = f"looking at its hooks did not end within {seconds:g} s"
    else:
        return
    raise Broken(PluginStage.REGISTER, problem)


def _describe(calls: HookCalls, plugin: str, *, accept_simulator: bool) -> BackendDescription:
    description = calls.call("describe", BackendDescription)
    if mismatch := contract_problem(description.contract):  # first: what else it says may mean something else
        raise Broken(PluginStage.CONTRACT, mismatch)
    problem = description_problem(description, plugin, accept_simulator=accept_simulator)
    if problem is not None:
        raise Broken(PluginStage.DESCRIBE, problem)
    return description


def _close(target: object) -> None:
    close = getattr(target, "close", None)
    if callable(close):
        close()


def close_late(target: object) -> None:
    """Close a backend that was opened after its caller gave up, in the worker that opened it. Never raises."""
    _quietly(lambda: _close(target))


def close_object(target: object, workers: Workers, seconds: float) -> None:
    """Call the ``close`` method of a backend's object, if it has one, for at most ``seconds``. Never raises."""
    _quietly(lambda: workers.run(lambda: _close(target), seconds))


def _quietly(close: Callable[[], object]) -> None:
    try:
        close()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # closing is the end; nothing depends on it
        _log.warning("a backend could not be closed: %s", describe(error))
