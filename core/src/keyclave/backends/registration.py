"""Register an object's hooks with a plugin manager: all of them valid, or none registered.

pluggy accepts an implementation that takes fewer arguments than its specification, which here could mean an
``encrypt`` that ignores associated data. So an implementation must take exactly the arguments of its specification.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import pluggy
from pluggy import HookCaller, HookImpl

from keyclave.backends.failures import describe
from keyclave.errors import PluginLoadError
from keyclave.plugin.hookspecs import PROJECT

__all__ = ["new_manager", "register"]


def new_manager(*specifications: type) -> pluggy.PluginManager:
    """Return an empty plugin manager for the hooks of these specifications."""
    manager = pluggy.PluginManager(PROJECT)
    for specification in specifications:
        manager.add_hookspecs(specification)
    return manager


def register(manager: pluggy.PluginManager, plugin: object, name: str, *, required: Iterable[str]) -> None:
    """Register the hooks of ``plugin``, which implements at least the ``required`` ones.

    Raises:
        PluginLoadError: a hook is unknown, missing, a wrapper, asynchronous, implemented twice, or does not take
            exactly the arguments of its specification. Nothing stays registered.
    """
    problem: str | None
    try:
        manager.register(plugin, name)
        problem = _problem(manager, plugin, name, required)
    except pluggy.PluginValidationError as error:
        problem = _validation_problem(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's own __dir__, property or __eq__, or a second registration
        problem = describe(error)
    if problem is None:
        return
    if manager.has_plugin(name):
        manager.unregister(name=name)
    raise PluginLoadError(problem)


def _problem(manager: pluggy.PluginManager, plugin: object, name: str, required: Iterable[str]) -> str | None:
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if implementation.plugin_name == name and (found := _hook_problem(caller, implementation)):
                return found
    implemented = [caller.name for caller in callers if caller.has_spec()]
    if not implemented:
        return "it implements no hook"
    if missing := sorted(set(required) - set(implemented)):
        return f"it does not implement {' and '.join(missing)}"
    if len(implemented) != len(set(implemented)) or any(_count(caller, name) > 1 for caller in callers):
        return "it implements a hook twice"
    return None


def _hook_problem(caller: HookCaller, implementation: HookImpl) -> str | None:
    if implementation.wrapper or implementation.hookwrapper:
        return f"{caller.name} is a wrapper, which only the core may put around a hook"
    if caller.spec is None:
        return None if implementation.optionalhook else f"{caller.name} is not a hook of Keyclave"
    function = implementation.function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{caller.name} is asynchronous, and hooks are not"
    parameters = inspect.signature(function).parameters.values()
    positional = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    taken = tuple(p.name for p in parameters)
    if not positional or taken != caller.spec.argnames:
        return f"{caller.name} must take exactly ({', '.join(caller.spec.argnames)})"
    return None


def _count(caller: HookCaller, name: str) -> int:
    return sum(implementation.plugin_name == name for implementation in caller.get_hookimpls())


def _validation_problem(error: pluggy.PluginValidationError) -> str:
    """Return pluggy's message on one line; it is made of names in the code."""
    return " ".join(str(error).split())
