"""The light modules of plugins: checked, loaded on first use, registered together, called one at a time.

A call goes to one plugin and never to the others, so that what one does, none of the others notices.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from keyclave import __version__
from keyclave.backends.catalog import Catalog, Offer
from keyclave.backends.deadlines import Job, Workers
from keyclave.backends.limits import TimeLimits
from keyclave.backends.loader import load
from keyclave.backends.origin import foreign_origin
from keyclave.backends.policy import PluginPolicy
from keyclave.backends.probe import probe
from keyclave.backends.registration import new_manager, register
from keyclave.backends.report import PluginReport, PluginStage, PluginState
from keyclave.backends.requirements import unmet_requirement
from keyclave.errors import PluginLoadError
from keyclave.plugin.hookspecs import Detection, Provider

__all__ = ["PluginModules"]

T = TypeVar("T")
_REQUIRED = ("settings_model", "open_backend")


class PluginModules:
    """Every installed plugin, each imported only when it is asked for.

    Args:
        policy: which plugins may load.
        limits: how long they may take.
        detectors: Keyclave's own implementations of `Detection`, by a name that no plugin can have. They are
            registered with the plugins, and called as they are.
    """

    def __init__(
        self, policy: PluginPolicy, limits: TimeLimits, detectors: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._lock = threading.RLock()
        self._catalog: Catalog | None = None
        self._reports: dict[str, PluginReport] = {}
        self._workers: dict[str, Workers] = {}
        self._manager = new_manager(Provider, Detection)
        self.detectors = tuple(detectors)
        for name, detector in detectors.items():
            register(self._manager, detector, name, required=("detect",))
            self._workers[name] = _workers(name)

    @property
    def catalog(self) -> Catalog:
        """The installed plugins; their metadata is read once, on first use."""
        with self._lock:
            if self._catalog is None:
                self._catalog = Catalog(self._policy)
                self._reports = {o.name: o.report(PluginState.FOUND) for o in self._catalog.offers.values()}
            return self._catalog

    def load(self, name: str) -> PluginReport:
        """Make a plugin ready for calls, once per process; return its report, which says whether it is loaded."""
        with self._lock:
            offer = self.catalog.offers.get(name)
            if offer is None:
                return self._missing(name)
            if self._reports[name].state is PluginState.FOUND:
                self._reports[name] = self._load(offer)
            return self._reports[name]

    def implements(self, name: str, hook: str) -> bool:
        """Return whether a loaded plugin implements a hook."""
        return self._function(name, hook) is not None

    def call(
        self,
        name: str,
        hook: str,
        seconds: float,
        *arguments: object,
        discard: Callable[[object], None] | None = None,
    ) -> object:
        """Call a hook of one loaded plugin in a worker, and return what it returns.

        Args:
            name: the plugin.
            hook: a hook that it implements.
            seconds: the time limit.
            arguments: the hook's arguments, in the order of its specification.
            discard: what to do with a result that comes too late.

        Raises:
            Overdue: no answer in time.
            BaseException: what the plugin let escape.
        """
        function = self.function(name, hook)
        return self.run(name, lambda: function(*arguments), seconds, discard=discard)

    def function(self, name: str, hook: str) -> Callable[..., object]:
        """Return a loaded plugin's implementation of a hook, to be called in one of its workers.

        Raises:
            PluginLoadError: it does not implement the hook.
        """
        function = self._function(name, hook)
        if function is None:
            raise PluginLoadError(f"plugin {name!r} does not implement {hook}")
        return function

    def start(self, name: str, work: Callable[[], T]) -> Job[T]:
        """Begin what a loaded plugin has a hand in, in one of its workers, without waiting for it."""
        return self._workers[name].start(work)

    def run(
        self, name: str, work: Callable[[], T], seconds: float, *, discard: Callable[[T], object] | None = None
    ) -> T:
        """Run what a loaded plugin may have a hand in, in one of its workers; see `call`."""
        return self._workers[name].run(work, seconds, discard=discard)

    def reports(self) -> list[PluginReport]:
        """Return what became of every installed plugin so far. Loads none."""
        refused = self.catalog.refused
        with self._lock:
            return [*self._reports.values(), *refused]

    def close(self) -> None:
        """Let the threads end."""
        for workers in self._workers.values():
            workers.close()

    def _missing(self, name: str) -> PluginReport:
        refused = [report for report in self.catalog.refused if report.name == name]
        if refused:
            return refused[0]
        return PluginReport(
            name=name,
            distribution=None,
            version=None,
            state=PluginState.FAILED,
            stage=PluginStage.DISCOVERY,
            reason="no installed distribution offers it",
        )

    def _load(self, offer: Offer) -> PluginReport:
        if problem := unmet_requirement(offer.requires, __version__):
            return offer.report(PluginState.FAILED, PluginStage.REQUIRES, problem)
        if problem := foreign_origin(offer.entry_point):
            return offer.report(PluginState.CONFLICTING, PluginStage.ORIGIN, problem)
        stage = PluginStage.IMPORT
        try:
            # Once a process: what is imported already was tried before.
            if not offer.first_party and offer.entry_point.module not in sys.modules:
                probe(offer.entry_point, self._limits.probe)
            module = load(offer.entry_point)
            stage = PluginStage.REGISTER
            register(self._manager, module, offer.name, required=_REQUIRED)
        except PluginLoadError as error:
            return offer.report(PluginState.FAILED, stage, error.message)
        self._workers[offer.name] = _workers(offer.name)
        return offer.report(PluginState.LOADED)

    def _function(self, name: str, hook: str) -> Callable[..., object] | None:
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name == name:
                function: Callable[..., object] = implementation.function
                return function
        return None


def _workers(name: str) -> Workers:
    return Workers(f"keyclave-plugin-{name}", limit=8)
