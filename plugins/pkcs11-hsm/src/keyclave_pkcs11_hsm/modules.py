"""The modules that this process has initialised: each once, whatever number of backends use it.

After a fork nothing of the parent's is used: to PKCS#11 the child is another application, which must initialise the
module and log in itself (PKCS#11 2.40 usage guide, section 2.5.2).
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from keyclave.errors import BackendUnavailable, ConfigurationError
from pkcs11 import _pkcs11
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.errors import ckr_name
from keyclave_pkcs11_hsm.functions import CKR_ALREADY_INITIALIZED, CKR_OK, Functions

__all__ = ["Module", "acquire", "release"]

_CKR_ARGUMENTS_BAD = 0x7
_CKR_CANT_LOCK = 0xA
_lock = threading.Lock()
_modules: dict[Path, Module] = {}
_inherited: set[Path] = set()


class _Library(_pkcs11.lib):
    """python-pkcs11's view of a module that is initialised already."""

    def initialize(self) -> None:
        """Leave the module as it is."""


class Module:
    """One initialised module.

    Attributes:
        path: its real path.
        functions: what python-pkcs11 does not call.
        library: what it does call.
        users: how many backends use it.
    """

    def __init__(self, path: Path, parameters: str | None) -> None:
        self.path = path
        self.functions = Functions(path)
        self.users = 0
        self._parameters = parameters
        self._initialize()
        try:
            self.library = _library(path)
        except BaseException:
            self.functions.finalize()
            raise

    def require_parameters(self, parameters: str | None) -> None:
        """Refuse other parameters than those that the module was initialised with."""
        if parameters != self._parameters:
            raise ConfigurationError(f"module {self.path} is in use with other module_parameters")

    def initialize_again(self) -> None:
        """Initialise the module if somebody else finalised it."""
        result = self.functions.initialize(self._parameters)
        if result not in (CKR_OK, CKR_ALREADY_INITIALIZED):
            raise BackendUnavailable(f"module {self.path} cannot be initialised again: {result:#x}")

    def finalize(self) -> None:
        """Finalise the module in both views of it, whatever it says to that."""
        with suppress(PKCS11Error):
            self.library.finalize()
        self.functions.finalize()

    def _initialize(self) -> None:
        result = self.functions.initialize(self._parameters)
        if result == CKR_ALREADY_INITIALIZED and self.path in _inherited:
            # The module copied its state into this child of a fork instead of forgetting it.
            self.functions.finalize()
            result = self.functions.initialize(self._parameters)
        if result != CKR_OK:
            raise _not_initialized(self.path, result)
        _inherited.discard(self.path)


def acquire(path: Path, parameters: str | None) -> Module:
    """Return the module at a real path, initialised with locks.

    Raises:
        ConfigurationError: it cannot be loaded, has no locks, wants other parameters, or something else in this
            process initialised it, perhaps without locks.
        BackendUnavailable: it does not start.
    """
    with _lock:
        module = _modules.get(path)
        if module is None:
            module = _modules[path] = Module(path, parameters)
        module.require_parameters(parameters)
        module.users += 1
        return module


def release(module: Module, *, idle: bool) -> None:
    """Give a module back. The last one to do so finalises it, unless a call is still running in it."""
    with _lock:
        module.users -= 1
        if module.users == 0 and idle and _modules.get(module.path) is module:
            del _modules[module.path]
            module.finalize()


def _library(path: Path) -> _pkcs11.lib:
    """Return python-pkcs11's view of a module that was initialised, with locks.

    To p11-kit's proxy it is another caller, which has to initialise it too. That is safe without arguments: the proxy
    locks always, and so do the modules behind it.
    """
    try:
        return _Library(str(path))
    except PKCS11Error as error:
        if ckr_name(error) != "CRYPTOKI_NOT_INITIALIZED":
            raise
    return _pkcs11.lib(str(path))


def _not_initialized(path: Path, result: int) -> ConfigurationError | BackendUnavailable:
    if result == CKR_ALREADY_INITIALIZED:
        return ConfigurationError(
            f"module {path} was initialised by something else in this process, perhaps without locks",
            next_step="Open Keyclave before anything else uses the module, or use it in another process.",
        )
    if result == _CKR_CANT_LOCK:
        return ConfigurationError(f"module {path} cannot be used from several threads")
    if result == _CKR_ARGUMENTS_BAD:
        return ConfigurationError(
            f"module {path} refuses what it is initialised with",
            next_step="Set module_parameters as the module's documentation says.",
        )
    return BackendUnavailable(
        f"module {path} does not start: C_Initialize returned {result:#x}",
        next_step="Check what the module reads when it starts, as its documentation says: its configuration, the"
        " variable that names it, and its tokens.",
    )


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  another thread of the parent may have held it
    _lock = threading.Lock()
    _inherited.update(_modules)
    _modules.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
