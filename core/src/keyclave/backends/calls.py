"""Call the hooks of one opened backend: in time, with errors of Keyclave's own, and never again after a fault.

A call to a service on a network that did not carry it out is repeated; see `keyclave.backends.retrying`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from time import monotonic
from typing import Any, TypeVar, cast

from pluggy import PluginManager

from keyclave.backends.breaker import Breaker
from keyclave.backends.deadlines import Overdue, Workers
from keyclave.backends.failures import bare, describe
from keyclave.backends.limits import TimeLimits
from keyclave.backends.report import Fault, PluginStage
from keyclave.backends.results import WrongResult, checked, unwrap
from keyclave.backends.retrying import Retries
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    DeadlineExceeded,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.plugin.records import Location

__all__ = ["HookCalls"]

T = TypeVar("T")
_CHANGES = frozenset(
    {
        "create_key",
        "import_key",
        "adopt_key",
        "forget_key",
        "destroy_key",
        "cancel_destruction",
        "enable_key",
        "disable_key",
    }
)
"""Hooks that change something in the backend, so that a call without an answer may have changed it."""
_ABOUT_ITSELF = frozenset({"describe", "check_health"})
"""Hooks that ask how the backend is: they are always called, and are no traffic."""


class HookCalls:
    """The hooks that one backend implements.

    Attributes:
        backend_id: the configured instance.
        faults: empty while the backend may be called; then why it may not. It never becomes empty again.
        workers: the threads that its calls run in.
        limits: how long they may take.
        retries: repeats them; ``None`` where the backend is not on a network.
        breaker: what became of them, and whether they are made.
    """

    def __init__(
        self,
        backend_id: str,
        manager: PluginManager,
        limits: TimeLimits,
        on_fault: Callable[[Fault], None],
    ) -> None:
        self.backend_id = backend_id
        self.faults: list[str] = []
        self.workers = Workers(f"keyclave-{backend_id}")
        self.limits = limits
        self.retries: Retries | None = None
        self.breaker = Breaker()
        self._relay = manager.hook
        self._on_fault = on_fault

    def place(self, location: Location, retries: Retries) -> None:
        """Take note of where the backend computes, which decides how long calls may take and whether they repeat."""
        self.limits = self.limits.at(location)
        self.retries = retries if location is Location.REMOTE else None
        self.breaker.opens = location is not Location.IN_PROCESS

    def implements(self, hook: str) -> bool:
        """Return whether the backend implements a hook."""
        caller = getattr(self._relay, hook, None)
        return caller is not None and caller.spec is not None and bool(caller.get_hookimpls())

    def require(self, hook: str) -> None:
        """Refuse a hook that cannot be called.

        Raises:
            BackendUnavailable: the backend broke its contract, or is closed.
            CapabilityUnsupported: it does not implement the hook.
        """
        if self.faults:
            raise self.unavailable(hook)
        if not self.implements(hook):
            raise CapabilityUnsupported(
                f"the backend does not implement {hook}", operation=hook, backend_id=self.backend_id
            )

    def function(self, hook: str) -> Callable[..., Any]:
        """Return the one implementation of a hook, which may be called without pluggy in between."""
        self.require(hook)
        implementation: Callable[..., Any] = getattr(self._relay, hook).get_hookimpls()[0].function
        return implementation

    def in_worker(self, hook: str, function: Callable[..., T], *arguments: object, seconds: float | None = None) -> T:
        """Return what a function returns, called in a worker within the time limit of the hook, or ``seconds``.

        Raises:
            Overdue: it did not return in time.
            BaseException: what it raised.
        """
        return self.workers.run(lambda: function(*arguments), self.limits.of(hook) if seconds is None else seconds)

    def call(self, hook: str, due: type[T], **arguments: object) -> T:
        """Call a hook in a worker, and return its checked result.

        The plugin gets copies of the arguments: what it does to them, the checks of its answer do not see.

        Raises:
            CapabilityUnsupported: the backend does not implement the hook.
            BackendUnavailable: it returned something else than a ``due``, now or before, or a foreign exception
                escaped from a hook that changes nothing.
            DeadlineExceeded: no answer in time, and nothing can have changed.
            OutcomeUnknown: no answer in time, or a foreign exception, from a hook that changes something.
            KeyclaveError: what the hook raised.
        """
        self.require(hook)
        caller = getattr(self._relay, hook)
        copies = deepcopy(arguments)
        return unwrap(self.attempt(hook, partial(checked, due=due), lambda: caller(**copies), in_worker=True))

    def attempt(
        self, hook: str, accept: Callable[[object], T], work: Callable[[], object], *, in_worker: bool
    ) -> T | KeyclaveError:
        """Return the result of a call as ``accept`` returns it, or the error to raise.

        An error is returned, so that its caller can forget what must not stay in a traceback before it is raised.
        """
        refused = self.refusal(hook)
        if refused is not None:
            return refused
        if self.retries is None:
            return self._attempt(hook, accept, work, in_worker=in_worker)
        seconds = self.limits.of(hook)
        deadline = monotonic() + seconds

        def again(seconds: float) -> T | KeyclaveError:
            if self.faults:  # it was closed, or broke its contract, during the pause
                return self.unavailable(hook)
            return self._attempt(hook, accept, work, in_worker=in_worker, seconds=seconds)

        outcome = again(seconds)
        return self.retries.settle(outcome, again, deadline) if isinstance(outcome, KeyclaveError) else outcome

    def refusal(self, hook: str) -> KeyclaveError | None:
        """Return the error of a call that is not made because the circuit is open; ``None`` if it may be made."""
        if hook in _ABOUT_ITSELF:
            return None
        refused = self.breaker.refusal()
        return None if refused is None else refused.at(operation=hook, backend_id=self.backend_id)

    def _attempt(
        self,
        hook: str,
        accept: Callable[[object], T],
        work: Callable[[], object],
        *,
        in_worker: bool,
        seconds: float | None = None,
    ) -> T | KeyclaveError:
        outcome = self._outcome(hook, accept, work, in_worker=in_worker, seconds=seconds)
        if hook not in _ABOUT_ITSELF:
            if isinstance(outcome, KeyclaveError):
                self.breaker.note(outcome)
            else:
                self.breaker.answered = True
        return outcome

    def _outcome(
        self,
        hook: str,
        accept: Callable[[object], T],
        work: Callable[[], object],
        *,
        in_worker: bool,
        seconds: float | None,
    ) -> T | KeyclaveError:
        try:
            if in_worker:
                return self.in_worker(hook, lambda: accept(work()), seconds=seconds)
            return accept(work())
        except WrongResult as error:
            return self.fault(hook, str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a plugin lets escape
            return self.translate(hook, error)

    def _elsewhere(self, hook: str, error: KeyclaveError) -> KeyclaveError:
        """Return an error that says what to do next, where the backend does not have a key that the state knows."""
        own = error.next_step != KeyNotFound.default_next_step
        if isinstance(error, KeyNotFound) and not own and hook != "adopt_key":
            error.next_step = (
                f"Let [backends.{self.backend_id}] name the region, account, token or directory in which the key was"
                " made, or put that back from a backup; `keyclave doctor` looks."
            )
        return error

    def translate(self, hook: str, error: BaseException) -> KeyclaveError:
        """Return what to raise for an exception that escaped from a hook."""
        kind = type(error)  # isinstance would ask the error, which may be the plugin's
        if issubclass(kind, KeyclaveError):
            known = bare(cast("KeyclaveError", error)).at(operation=hook, backend_id=self.backend_id)
            return self._elsewhere(hook, known)
        if kind is Overdue:
            unknown = cast("Overdue", error).started and hook in _CHANGES
            message = f"no answer within {self.limits.of(hook):g} s"
        else:
            unknown = hook in _CHANGES
            message = f"the plugin raised {describe(error)}"
            if hook == "describe":
                self._on_fault(Fault(stage=PluginStage.DESCRIBE, reason=message, final=False))
        if unknown:
            return OutcomeUnknown(message, operation=hook, backend_id=self.backend_id)
        if kind is Overdue:
            return DeadlineExceeded(message, operation=hook, backend_id=self.backend_id)
        # A fault of the plugin is no sign that the backend is away, and one message may be enough to cause it.
        return BackendUnavailable(message, operation=hook, backend_id=self.backend_id, retryable=False)

    def fault(self, hook: str, reason: str) -> BackendUnavailable:
        """Take the backend out of use, since its plugin breaks the contract; return the error to raise."""
        self.faults.append(f"{hook}: {reason}")
        stage = PluginStage.DESCRIBE if hook == "describe" else PluginStage.CALL
        self._on_fault(Fault(stage=stage, reason=self.faults[-1]))
        return self.unavailable(hook)

    def unavailable(self, hook: str) -> BackendUnavailable:
        """Return the error for a backend that is out of use."""
        return BackendUnavailable(
            f"the backend is out of use: {self.faults[0]}",
            operation=hook,
            backend_id=self.backend_id,
            next_step="Run `keyclave doctor`, replace the plugin, and start again.",
            retryable=False,
        )
