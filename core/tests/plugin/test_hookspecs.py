"""An undocumented hook, or one without typed records, fails here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import keyclave.errors
import pluggy
import pytest
from keyclave.plugin import Detection, Health, KeyStorage, Provider, Signing, hookimpl, hookspecs
from keyclave.plugin.records import Record

SPECIFICATIONS = (Provider, Detection, KeyStorage, Signing, Health)
HOOKS = {
    "settings_model": Provider,
    "open_backend": Provider,
    "permissions_policy": Provider,
    "detect": Detection,
    "create_key": KeyStorage,
    "find_key": KeyStorage,
    "list_keys": KeyStorage,
    "public_key": KeyStorage,
    "enable_key": KeyStorage,
    "disable_key": KeyStorage,
    "destroy_key": KeyStorage,
    "cancel_destruction": KeyStorage,
    "begin_import": KeyStorage,
    "import_key": KeyStorage,
    "wrap_key": KeyStorage,
    "attest_key": KeyStorage,
    "list_foreign_keys": KeyStorage,
    "adopt_key": KeyStorage,
    "forget_key": KeyStorage,
    "sign": Signing,
    "encrypt": Signing,
    "decrypt": Signing,
    "mac": Signing,
    "describe": Health,
    "check_health": Health,
    "check_permissions": Health,
}
NOT_A_RECORD = {"settings_model", "open_backend", "permissions_policy"}
TAKES_SETTINGS = {"open_backend", "permissions_policy"}
PLAIN = {bytes, str, NoneType}
every_hook = pytest.mark.parametrize("name", HOOKS)


def hook(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(HOOKS[name], name)
    return found


def section(name: str, title: str) -> str:
    """The text of a section of the hook's docstring, or nothing."""
    document = inspect.getdoc(hook(name)) or ""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)+)", document + "\n", re.MULTILINE)
    return inspect.cleandoc(found[1]) if found else ""


def members(annotation: Any) -> set[Any]:
    """What a type is a union of, itself if it is none."""
    return set(get_args(annotation)) if get_origin(annotation) in {Union, UnionType} else {annotation}


def is_record(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Record) and annotation is not Record


def test_the_table_holds_every_hook() -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    for specification in SPECIFICATIONS:
        manager.add_hookspecs(specification)
    assert set(vars(manager.hook)) - {"_hookexec"} == set(HOOKS)
    public = {name for specification in SPECIFICATIONS for name in vars(specification) if not name.startswith("_")}
    assert public == set(HOOKS)


@every_hook
def test_a_hook_asks_one_backend_only(name: str) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(HOOKS[name])
    options = manager.parse_hookspec_opts(HOOKS[name], name)
    assert options is not None
    assert options["firstresult"] is (name != "detect")


@every_hook
def test_a_hook_says_what_it_does_raises_and_looks_like(name: str) -> None:
    document = inspect.getdoc(hook(name)) or ""
    assert document.partition("\n")[0].endswith((".", ","))
    assert "second call" in document.partition("Raises:")[0]
    assert section(name, "Raises")
    assert ">>> " in section(name, "Examples")
    assert f"{name}(" in section(name, "Examples")


@every_hook
def test_what_a_hook_raises_are_errors_of_keyclave(name: str) -> None:
    raised = section(name, "Raises")
    if raised.startswith("Nothing"):
        return
    classes = re.findall(r"^(\w+):", raised, re.MULTILINE)
    assert classes
    assert set(classes) <= set(keyclave.errors.__all__)


@every_hook
def test_a_hook_takes_records_bytes_or_text(name: str) -> None:
    parameters = list(inspect.signature(hook(name)).parameters.values())[1:]
    hints = get_type_hints(hook(name))
    for parameter in parameters:
        assert parameter.name in hints
        assert parameter.default is inspect.Parameter.empty
        if not (name in TAKES_SETTINGS and parameter.name == "settings"):
            assert all(is_record(member) or member in PLAIN for member in members(hints[parameter.name]))


@every_hook
def test_a_hook_returns_a_record_or_nothing(name: str) -> None:
    result = get_type_hints(hook(name))["return"]
    if name not in NOT_A_RECORD:
        assert all(is_record(member) or member is NoneType for member in members(result))


@every_hook
def test_a_specification_does_nothing_by_itself(name: str) -> None:
    arguments = [None for _ in inspect.signature(hook(name)).parameters]
    with pytest.raises(NotImplementedError):
        hook(name)(*arguments)


@every_hook
def test_the_implementation_in_the_example_fits_the_specification(name: str) -> None:
    example = section(name, "Examples")
    implementation = re.search(rf"def {name}\(self(?:, )?([^)]*)\)", example)
    assert implementation
    assert "@hookimpl" in example
    specified = list(inspect.signature(hook(name)).parameters)[1:]
    assert implementation[1].replace(" ", "").split(",") == (specified or [""])


def test_an_implementation_with_an_argument_too_many_is_refused() -> None:
    class Backend:
        @hookimpl
        def sign(self, key: Any, data: Any, scheme: Any, pin: Any) -> None:
            raise AssertionError

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(Signing)
    with pytest.raises(pluggy.PluginValidationError, match="pin"):
        manager.register(Backend())
