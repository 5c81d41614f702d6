"""Where the backend under test comes from: an installed plugin, opened as users open it, or an object with hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, Literal, Protocol, TypeVar, cast

from keyclave.backends.calls import HookCalls
from keyclave.backends.catalog import GROUP
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.limits import TimeLimits
from keyclave.backends.manager import BackendInstance, BackendManager, PluginPolicy
from keyclave.backends.modules import PluginModules
from keyclave.backends.opened import Broken, Opened, take
from keyclave.backends.retrying import Retries
from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import BackendUnavailable, CapabilityUnsupported
from keyclave.plugin import BackendContext, BackendDescription, Record
from pydantic import BaseModel

from keyclave_contract_tests.settings_secrets import is_choice, is_secret, secrets_of
from keyclave_contract_tests.vector_runs import Unwrap

__all__ = ["CRYPTO", "Handle", "Installed", "Made", "Source"]

T = TypeVar("T")

CRYPTO = CryptoFunctions(
    bind_verifier=bind_verifier,
    bind_digest=bind_digest,
    p1363_to_der=p1363_to_der,
    check_public_key=check_public_key,
    load_public_key=load_public_key,
)
"""Keyclave's own guards: what verifies signatures and converts them for users of the backend."""

_LIMITS = TimeLimits(create_key=120.0, import_key=120.0, survey=60.0, other=30.0)


class Handle(Protocol):
    """An opened backend."""

    description: BackendDescription

    @property
    def target(self) -> object:
        """Return the object whose hooks it calls."""

    def has(self, hook: str) -> bool:
        """Return whether it implements a hook."""

    def call(self, hook: str, due: type[T], **arguments: object) -> T:
        """Call a hook and return its result."""

    def close(self) -> None:
        """Close it."""


class Source(Protocol):
    """How to open the backend under test. It can be pickled, so that other processes can open it, too.

    Attributes:
        plugin: the name of the plugin.
        path: ``plugin`` if it goes through everything that users' calls go through, ``object`` if hooks are called
            directly.
        entry_point: what the plugin's entry point names; ``None`` for a backend that no plugin opens.
        crypto: the guards whose verifier the checks of signatures use.
        unwrap: what unwraps keys in this process, for backends that do it in software.
    """

    @property
    def plugin(self) -> str:
        """See above."""

    @property
    def path(self) -> Literal["plugin", "object"]:
        """See above."""

    @property
    def entry_point(self) -> str | None:
        """See above."""

    @property
    def crypto(self) -> CryptoFunctions:
        """See above."""

    @property
    def unwrap(self) -> Unwrap:
        """See above."""

    def secrets(self) -> tuple[bytes, ...]:
        """Return what its settings hold or name and nothing that it says may hold: PINs, passphrases, tokens."""

    def open(self, context: BackendContext) -> Handle:
        """Open it; raise what the backend raises."""


class Guarded:
    """A backend behind the guards of the core: time limits, typed results, errors of Keyclave only."""

    def __init__(self, calls: HookCalls, description: BackendDescription, close: Callable[[], None]) -> None:
        self.description = description
        self.close = close
        self.has = calls.implements
        self._calls = calls
        calls.breaker.opens = False  # each answer is to be the backend's own, however often it fails

    @property
    def target(self) -> object:
        """Return what the description came from."""
        describe = self._calls.function("describe")
        return getattr(describe, "__self__", describe)

    def call(self, hook: str, due: type[T], **arguments: object) -> T:
        """See `keyclave.backends.calls.HookCalls.call`."""
        return self._calls.call(hook, due, **arguments)


class Direct:
    """The object alone, with nothing in between."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.description: BackendDescription = target.describe()

    @property
    def target(self) -> object:
        """Return the object."""
        return self._target

    def has(self, hook: str) -> bool:
        """Return whether the object has a method of that name that is marked as a hook."""
        return hasattr(getattr(self._target, hook, None), "keyclave_impl")

    def call(self, hook: str, due: type[T], **arguments: object) -> T:
        """Call the method; raise whatever it raises.

        Raises:
            CapabilityUnsupported: there is none.
            TypeError: it returned something else than a ``due``.
        """
        if not self.has(hook):
            raise CapabilityUnsupported(f"the backend does not implement {hook}", operation=hook)
        result = getattr(self._target, hook)(**arguments)
        if type(result) is not due:
            raise TypeError(f"{hook} returned {type(result).__name__}, where {due.__name__} is due")
        return result

    def close(self) -> None:
        """Call the object's ``close``, if it has one."""
        close = getattr(self._target, "close", None)
        if callable(close):
            close()


class Installed(Record, frozen=True, kw_only=True):
    """An installed plugin with its settings. Its representation shows no settings, which may hold secrets."""

    plugin: str
    settings: Mapping[str, Any]
    accept_simulator: bool = False
    crypto: CryptoFunctions = CRYPTO
    unwrap: Unwrap = unwrap_key

    def __repr__(self) -> str:
        return f"Installed(plugin={self.plugin!r})"

    @property
    def path(self) -> Literal["plugin", "object"]:
        """As users call it."""
        return "plugin"

    @property
    def entry_point(self) -> str | None:
        """As the metadata of the installed distribution says; nothing is imported."""
        return next((found.value for found in metadata.entry_points(group=GROUP, name=self.plugin)), None)

    def secrets(self) -> tuple[bytes, ...]:
        """The secret fields of its settings, and the content of files that they name as secret."""
        model = self._settings_model()
        return secrets_of({name: value for name, value in self.settings.items() if not is_choice(name, model)})

    def secret_settings(self) -> frozenset[str]:
        """Return the names of its settings that must not be shown. Its plugin is one that could be opened."""
        model = self._settings_model()
        return frozenset(name for name, value in self.settings.items() if is_secret(name, value, model))

    def open(self, context: BackendContext) -> Handle:
        """Open it with a manager of its own, as an application does."""
        manager = BackendManager(
            {
                context.backend_id: BackendInstance(
                    id=context.backend_id,
                    plugin=self.plugin,
                    settings=self.settings,
                    data_directory=context.data_directory,
                    accept_simulator=self.accept_simulator,
                )
            },
            PluginPolicy(allow=frozenset({self.plugin})),
            instance_id=context.instance_id,
            environment_type=context.environment_type,
            crypto=self.crypto,
            limits=_LIMITS,
        )
        try:
            backend = manager.get(context.backend_id)
        except BaseException:
            manager.close()
            raise
        return Guarded(backend.calls, backend.description, manager.close)

    def _settings_model(self) -> type[BaseModel]:
        modules = PluginModules(PluginPolicy(allow=frozenset({self.plugin})), _LIMITS)
        try:
            modules.load(self.plugin)
            return cast("type[BaseModel]", modules.call(self.plugin, "settings_model", _LIMITS.other))
        finally:
            modules.close()


class Made(Record, frozen=True, kw_only=True):
    """An object that a function of this process makes; the function is importable, so that children can call it.

    Attributes:
        make: takes the context, returns an object with hooks.
        plugin: the name that it describes itself with.
        guarded: whether it goes through the guards of the core.
        entry_point: what the entry point of its plugin names, where it has one.
        crypto: the guards.
        unwrap: what unwraps keys in this process.
        hidden: what the object must keep to itself.
    """

    make: Callable[[BackendContext], object]
    plugin: str
    guarded: bool = True
    entry_point: str | None = None
    crypto: CryptoFunctions = CRYPTO
    unwrap: Unwrap = unwrap_key
    hidden: tuple[bytes, ...] = ()

    @property
    def path(self) -> Literal["plugin", "object"]:
        """Either one."""
        return "plugin" if self.guarded else "object"

    def secrets(self) -> tuple[bytes, ...]:
        """What the object must keep to itself."""
        return self.hidden

    def open(self, context: BackendContext) -> Handle:
        """Make the object, and take it."""
        target = self.make(context)
        if not self.guarded:
            return Direct(target)
        try:
            opened = take(
                target,
                self.plugin,
                context,
                limits=_LIMITS,
                crypto=self.crypto,
                on_fault=lambda fault: None,
                retries=Retries(),
            )
        except Broken as error:
            raise BackendUnavailable(f"the backend breaks its contract: {error}", retryable=False) from None
        return Guarded(opened.calls, opened.backend.description, lambda: _close(opened))


def _close(opened: Opened) -> None:
    opened.close(_LIMITS.other)
