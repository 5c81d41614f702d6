"""What a fault is: a backend that is wrong on purpose, and the checks that must find it, each for its own reason."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.crypto.wrapping import unwrap_key
from keyclave.plugin import BackendContext
from keyclave_contract_tests.sources import CRYPTO, Made
from keyclave_contract_tests.vector_runs import Unwrap

from tests.zoo import faults
from tests.zoo.pkcs11 import SECRET_PIN, ZooPkcs11
from tests.zoo.pkcs11 import opened as opened_on_token
from tests.zoo.software import SECRET, ZooSoftware, opened, opened_with_secret

__all__ = [
    "Fault",
    "all_faults",
    "fault",
    "pkcs11_fault",
    "plugin_fault",
    "secret_fault",
    "unwrap_fault",
    "verifier_fault",
]


@dataclass(frozen=True)
class Fault:
    """A backend that is wrong in one way.

    Attributes:
        name: in words.
        make: makes the backend.
        plugin: the name that it describes itself with.
        kills: for each check that must find it, what its reason must match.
        budget: the smallest budget at which it is found.
        entry_point: the module of the plugin, where the fault is in it.
        crypto: the guards, where the fault is in them.
        unwrap: what unwraps keys in this process, where the fault is in it.
        hidden: what the backend must keep to itself.
        services: the programs of tests/services that the backend needs.
    """

    name: str
    make: Callable[[BackendContext], object]
    kills: Mapping[int, str]
    plugin: str = "software"
    budget: str = "standard"
    entry_point: str | None = None
    crypto: CryptoFunctions = CRYPTO
    unwrap: Unwrap = unwrap_key
    hidden: tuple[bytes, ...] = ()
    services: tuple[str, ...] = ()

    def source(self, *, guarded: bool) -> Made:
        """Return where the suite gets it from."""
        return Made(
            make=self.make,
            plugin=self.plugin,
            guarded=guarded,
            entry_point=self.entry_point,
            crypto=self.crypto,
            unwrap=self.unwrap,
            hidden=self.hidden,
        )


_faults: list[Fault] = []
Guards = Callable[[], CryptoFunctions]


def fault(kills: Mapping[int, str], *, budget: str = "standard") -> Callable[[type[ZooSoftware]], type[ZooSoftware]]:
    """Add a software backend that is wrong to the zoo; its docstring says how."""

    def add(kind: type[ZooSoftware]) -> type[ZooSoftware]:
        _faults.append(Fault(_words(kind.__name__), partial(opened, kind), kills, budget=budget))
        return kind

    return add


def pkcs11_fault(kills: Mapping[int, str]) -> Callable[[type[ZooPkcs11]], type[ZooPkcs11]]:
    """Add a backend on a token of SoftHSM2 that is wrong to the zoo; its docstring says how."""

    def add(kind: type[ZooPkcs11]) -> type[ZooPkcs11]:
        make = partial(opened_on_token, kind)
        _faults.append(
            Fault(
                _words(kind.__name__),
                make,
                kills,
                plugin="pkcs11-hsm",
                hidden=(SECRET_PIN,),
                services=("softhsm",),
            )
        )
        return kind

    return add


def secret_fault(kills: Mapping[int, str]) -> Callable[[type[ZooSoftware]], type[ZooSoftware]]:
    """Add a software backend that is wrong, and whose settings name a secret; its docstring says how."""

    def add(kind: type[ZooSoftware]) -> type[ZooSoftware]:
        make = partial(opened_with_secret, kind)
        _faults.append(Fault(_words(kind.__name__), make, kills, hidden=(SECRET,)))
        return kind

    return add


def plugin_fault(module: str, kills: Mapping[int, str]) -> None:
    """Add a right backend whose plugin is wrong to the zoo: a module of `tests.zoo.plugins`, which says how."""
    _faults.append(
        Fault(
            f"plugin {module.replace('_', ' ')}",
            partial(opened, ZooSoftware),
            kills,
            entry_point=f"tests.zoo.plugins.{module}",
        )
    )


def verifier_fault(
    kills: Mapping[int, str],
) -> Callable[[Callable[[], CryptoFunctions]], Callable[[], CryptoFunctions]]:
    """Add a right backend whose signatures a wrong verifier judges; the function makes the guards."""

    def add(function: Guards) -> Guards:
        _faults.append(
            Fault(function.__name__.replace("_", " "), partial(opened, ZooSoftware), kills, crypto=function())
        )
        return function

    return add


def unwrap_fault(kills: Mapping[int, str]) -> Callable[[Unwrap], Unwrap]:
    """Add a right backend beside an unwrapping that is wrong; the function unwraps."""

    def add(function: Unwrap) -> Unwrap:
        words = function.__name__.replace("_", " ")
        _faults.append(Fault(words, partial(opened, ZooSoftware), kills, unwrap=function))
        return function

    return add


@cache
def all_faults() -> tuple[Fault, ...]:
    """Return the whole zoo."""
    for module in pkgutil.iter_modules(faults.__path__, f"{faults.__name__}."):
        importlib.import_module(module.name)
    names = [f.name for f in _faults]
    assert len(names) == len(set(names)), "two faults have one name"
    return tuple(_faults)


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
