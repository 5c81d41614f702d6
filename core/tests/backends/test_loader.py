"""What stevedore does that the loader must keep out, each behaviour shown on stevedore itself first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from keyclave.backends import loader
from keyclave.errors import PluginLoadError
from stevedore.exception import MultipleMatches
from stevedore.extension import error_on_conflict
from stevedore.named import NamedExtensionManager

GROUP = "keyclave.test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Write a module that is new to this process, and return an entry point for it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = iter(range(100))

    def write(content: str, attribute: str = "") -> EntryPoint:
        name = f"loader_{abs(hash(request.node.nodeid))}_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(content)
        return EntryPoint(name="plugin", value=f"{name}{attribute}", group=GROUP)

    return write


class Plain(NamedExtensionManager[Any]):
    """stevedore as it is, with entry points of the test's choice in its own cache."""


def plain(*entry_points: EntryPoint, **options: Any) -> NamedExtensionManager[Any]:
    Plain.ENTRY_POINT_CACHE = {GROUP: list(entry_points)}
    return Plain(GROUP, ["plugin"], **options)


@pytest.mark.parametrize("exception", ["AssertionError", "SystemExit"])
def test_stevedore_lets_an_exception_escape_that_the_loader_catches(
    module: Callable[[str], EntryPoint], exception: str
) -> None:
    caught: list[BaseException] = []
    entry_point = module(f"raise {exception}('canary')")
    with pytest.raises((AssertionError, SystemExit)):
        plain(entry_point, on_load_failure_callback=lambda _, __, error: caught.append(error))
    assert not caught
    with pytest.raises(PluginLoadError, match=rf"(?m)its import raised {exception} at .*:1$") as raised:
        loader.load(entry_point)
    assert "canary" not in str(raised.value)
    assert raised.value.__context__ is None


def test_what_stevedore_catches_is_told_by_type_and_place(module: Callable[[str], EntryPoint]) -> None:
    with pytest.raises(PluginLoadError, match=r"(?m)its import raised ValueError at .*:1$") as raised:
        loader.load(module("raise ValueError('canary')"))
    assert "canary" not in str(raised.value)


def test_an_interrupt_by_the_user_is_not_swallowed(module: Callable[[str], EntryPoint]) -> None:
    with pytest.raises(KeyboardInterrupt):
        loader.load(module("raise KeyboardInterrupt"))


def test_stevedore_takes_the_last_of_two_plugins_with_one_name(module: Callable[..., EntryPoint]) -> None:
    first, second = module("class Plugin: pass", ":Plugin"), module("class Plugin: pass", ":Plugin")
    assert plain(first, second)["plugin"].entry_point is second


def test_stevedore_sees_only_adjacent_conflicts_and_none_between_modules(module: Callable[..., EntryPoint]) -> None:
    one, two = module("class Plugin: pass", ":Plugin"), module("class Plugin: pass", ":Plugin")
    between = EntryPoint(name="other", value=one.value, group=GROUP)
    with pytest.raises(MultipleMatches):
        plain(one, two, conflict_resolver=error_on_conflict)["plugin"]
    Plain.ENTRY_POINT_CACHE = {GROUP: [one, between, two]}
    apart = Plain(GROUP, ["plugin", "other"], conflict_resolver=error_on_conflict)
    assert apart["plugin"].entry_point is two
    with pytest.raises(AttributeError):
        plain(module(""), module(""), conflict_resolver=error_on_conflict)["plugin"]


def test_the_loader_gives_stevedore_one_entry_point_and_no_cache(module: Callable[[str], EntryPoint]) -> None:
    Plain.ENTRY_POINT_CACHE = {GROUP: [module("raise AssertionError")]}
    NamedExtensionManager.ENTRY_POINT_CACHE[GROUP] = [module("raise AssertionError")]
    try:
        loaded = loader.load(module("content = 'the right one'"))
    finally:
        del NamedExtensionManager.ENTRY_POINT_CACHE[GROUP]
    assert loaded.content == "the right one"  # type: ignore[attr-defined]  # it is the module above


def test_an_entry_point_that_names_nothing_is_refused(module: Callable[..., EntryPoint]) -> None:
    with pytest.raises(PluginLoadError, match="names nothing"):
        loader.load(module("plugin = None", ":plugin"))


def test_a_poisoned_cache_file_changes_nothing(sites: Mapping[str, Path], run: Callable[..., Any]) -> None:
    outcome = run("poison.py", "acme")
    assert outcome["stevedore_loaded"] == "injected"
    assert outcome["keyclave_loaded"] == "keyclave_acme.plugin"
    assert not outcome["injected_again"]
