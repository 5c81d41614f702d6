"""Open one configured backend: its plugin's settings, then the object that its plugin makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from time import monotonic
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.deadlines import Overdue
from keyclave.backends.failures import bare, describe, type_name
from keyclave.backends.limits import TimeLimits
from keyclave.backends.modules import PluginModules
from keyclave.backends.opened import Broken, Opened, admit, close_late, take
from keyclave.backends.report import Fault, PluginStage
from keyclave.backends.results import unwrap
from keyclave.backends.retrying import Retries
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    KeyclaveError,
    Throttled,
)
from keyclave.plugin.records import BackendContext, Record

__all__ = ["BackendInstance", "Opener"]


class BackendInstance(Record, frozen=True, kw_only=True):
    """One backend as the settings configure it. Its representation shows no settings, which may hold secrets.

    Attributes:
        id: its name.
        plugin: the name of the plugin that serves it.
        settings: the plugin's own settings.
        data_directory: a directory for this backend alone; it may not exist yet.
        accept_simulator: whether a simulator may stand for the real thing.
    """

    id: str
    plugin: str
    settings: Mapping[str, Any]
    data_directory: Path
    accept_simulator: bool = False

    def __repr__(self) -> str:
        return f"BackendInstance(id={self.id!r}, plugin={self.plugin!r})"


class Opener:
    """Opens backends with the plugins that are loaded."""

    def __init__(self, modules: PluginModules, limits: TimeLimits, crypto: CryptoFunctions) -> None:
        self._modules = modules
        self._limits = limits
        self._crypto = crypto

    def open(
        self,
        instance: BackendInstance,
        context: BackendContext,
        on_fault: Callable[[Fault], None],
        retries: Retries,
    ) -> Opened:
        """Open the backend, again if it was throttled; its plugin is loaded.

        Only an open backend says that it is on a network. But nothing else throttles: what is on this machine and
        does not answer is not asked again.

        Raises:
            Broken: the plugin broke its contract.
            ConfigurationError: the settings do not fit the plugin.
            PolicyViolation: a rule for backends in this environment is broken.
            KeyclaveError: what the plugin raised.
        """
        settings = self._settings(instance, self._settings_model(instance))
        deadline = monotonic() + self._limits.opening

        def attempt(seconds: float) -> Opened | KeyclaveError:
            try:
                target = self._target(instance, deepcopy(context), settings, seconds)
                opened = take(
                    target,
                    instance.plugin,
                    context,
                    limits=self._limits,
                    crypto=self._crypto,
                    on_fault=on_fault,
                    retries=retries,
                )
                return admit(opened, self._limits)
            except KeyclaveError as error:
                return error

        outcome = attempt(self._limits.opening)
        return unwrap(retries.settle(outcome, attempt, deadline) if isinstance(outcome, Throttled) else outcome)

    def permissions_policy(self, plugin: str, instance: BackendInstance | None) -> str:
        """Return the least-privilege policy for a backend, or for any of a plugin; the plugin is loaded.

        Raises:
            Broken: the plugin broke its contract.
            CapabilityUnsupported: it does not implement the hook.
            KeyclaveError: what the plugin raised.
        """
        hook = "permissions_policy"
        backend_id = None if instance is None else instance.id
        if not self._modules.implements(plugin, hook):
            raise CapabilityUnsupported(
                f"plugin {plugin!r} has no policy of permissions",
                backend_id=backend_id,
                next_step="Its documentation says which permissions it needs, if any.",
            )
        settings = None if instance is None else self._settings(instance, self._settings_model(instance))
        policy = self._call(plugin, backend_id, PluginStage.CALL, hook, self._limits.other, settings)
        if type(policy) is not str:
            raise Broken(PluginStage.CALL, f"{hook} returned {type_name(policy)}, not text")
        return policy

    def _settings_model(self, instance: BackendInstance) -> type[BaseModel]:
        model = self._call(instance.plugin, instance.id, PluginStage.SETTINGS, "settings_model", self._limits.other)
        # Its metaclass is looked at, not the class itself, which may be anything and then runs code of the plugin.
        if not issubclass(type(model), type(BaseModel)):
            raise Broken(PluginStage.SETTINGS, f"settings_model returned {type_name(model)}, not a pydantic model")
        return cast("type[BaseModel]", model)

    def _settings(self, instance: BackendInstance, model: type[BaseModel]) -> BaseModel:
        """Return the settings, made in a worker: their validators are the plugin's."""
        problem: str
        try:
            return self._modules.run(
                instance.plugin, lambda: model.model_validate(dict(instance.settings)), self._limits.other
            )
        except KeyboardInterrupt:
            raise
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            problem = "; ".join(_describe_setting(one, model) for one in found)
        except KeyclaveError as error:
            problem = bare(error).message
        except Overdue:
            problem = f"its settings model did not answer within {self._limits.other:g} s"
        except BaseException as error:  # a validator of the plugin
            problem = f"its settings model raised {describe(error)}"
        raise ConfigurationError(f"[backends.{instance.id}] {problem}", backend_id=instance.id)

    def _target(
        self, instance: BackendInstance, context: BackendContext, settings: BaseModel, seconds: float
    ) -> object:
        target = self._call(
            instance.plugin, instance.id, PluginStage.OPEN, "open_backend", seconds, settings, context
        )
        if target is None:
            raise Broken(PluginStage.OPEN, "open_backend returned None")
        return target

    def _call(
        self,
        plugin: str,
        backend_id: str | None,
        stage: PluginStage,
        hook: str,
        seconds: float,
        *arguments: object,
    ) -> object:
        failure: KeyclaveError | Broken
        try:
            return self._modules.call(plugin, hook, seconds, *arguments, discard=close_late)
        except KeyboardInterrupt:
            raise
        except Overdue:
            message = f"{hook} did not return within {seconds:g} s"
            failure = BackendUnavailable(message, backend_id=backend_id)
        except KeyclaveError as error:
            failure = bare(error).at(backend_id=backend_id)
        except BaseException as error:  # whatever a plugin lets escape
            failure = Broken(stage, f"{hook} raised {describe(error)}", final=False)
        raise failure


def _describe_setting(problem: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    cause = problem.get("ctx", {}).get("error")
    foreign = isinstance(cause, Exception) and not isinstance(cause, KeyclaveError)
    if foreign:
        what = describe(cause)  # its text could repeat a secret
    elif problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
        what = f"there is no such setting; there are {', '.join(model.model_fields) or 'none'}"
    else:
        what = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
