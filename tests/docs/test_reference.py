"""The generated reference pages say something about every hook, record, setting, command, error and public name."""

from __future__ import annotations

import inspect

import keyclave
import pytest
from keyclave import errors as error_classes
from keyclave import plugin
from keyclave.backends.limits import TimeLimits
from keyclave.backends.report import PluginStage
from keyclave.plugin import Detection, Health, KeyStorage, Location, Provider, Signing

from docs._generated import build, commands, errors, settings
from tests.docs.markdown import ROOT

HOOKS = [
    (spec.__name__, name)
    for spec in (Provider, Detection, KeyStorage, Signing, Health)
    for name in vars(spec)
    if not name.startswith("_")
]
RECORDS = [name for name in plugin.__all__ if inspect.isclass(getattr(plugin, name))]
SETTINGS = [(title, model, name) for title, model in settings.tables() for name in model.model_fields]


@pytest.mark.parametrize(("spec", "hook"), HOOKS)
def test_a_hook_says_what_it_does_what_it_raises_and_shows_it(spec: str, hook: str) -> None:
    text = inspect.getdoc(getattr(getattr(plugin, spec), hook)) or ""
    assert text.partition("\n")[0].endswith((".", ",", "of", "and")), text
    assert "Raises:" in text
    assert "Examples:" in text
    assert ">>>" in text


def test_the_guide_says_what_to_do_about_every_hook_error_and_stage() -> None:
    guide = (ROOT / "docs/how-to/write-a-backend.md").read_text()
    leaves = {name for name in error_classes.__all__ if not getattr(error_classes, name).__subclasses__()}
    wanted = {name for _, name in HOOKS} | leaves | {stage.value for stage in PluginStage}
    assert sorted(name for name in wanted if f"`{name}`" not in guide) == []


def test_the_guide_names_the_time_limits() -> None:
    guide, limits = " ".join((ROOT / "docs/how-to/write-a-backend.md").read_text().split()), TimeLimits()
    assert limits.opening == limits.create_key
    assert (
        f"{limits.opening:g} s for `open_backend` and `create_key`, {limits.import_key:g} s for `import_key`, "
        f"{limits.other:g} s for every other" in guide
    )
    remote = limits.at(Location.REMOTE)
    assert remote.survey == remote.create_key
    assert (
        f"{remote.create_key:g} s for `create_key` and for what may have to look at everything (`find_key`" in guide
    )
    assert f"and {remote.other:g} s for every other; repetitions" in guide


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_described(name: str) -> None:
    assert inspect.getdoc(getattr(plugin, name))


@pytest.mark.parametrize(("title", "model", "name"), SETTINGS, ids=str)
def test_a_setting_is_described_in_its_table(title: str, model: type, name: str) -> None:
    field = model.model_fields[name]  # type: ignore[attr-defined]  # a pydantic model
    assert field.description
    if field.description.startswith("Table"):
        return
    assert f"| `{name}` |" in settings.page().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("path", "command"), list(commands.commands()), ids=str)
def test_a_command_is_described_with_an_example_and_its_options(path: str, command: object) -> None:
    section = commands.page().partition(f"\n## `{path}`\n")[2].partition("\n## ")[0]
    assert "Usage:" in section
    assert f"  {path}" in section.partition("Example:")[2]
    assert "--json" in section
    for parameter in command.params:  # type: ignore[attr-defined]  # a click command
        assert parameter.param_type_name == "argument" or parameter.help, parameter.name


@pytest.mark.parametrize("name", error_classes.__all__)
def test_an_error_is_described(name: str) -> None:
    assert f"\n## {name}\n" in errors.page()
    assert getattr(error_classes, name).__doc__
    assert name in (error_classes.__doc__ or "")


def test_every_exit_code_names_its_errors() -> None:
    named = commands.exit_code_page()
    assert [name for name in error_classes.__all__ if f"`{name}`" not in named] == []


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    text = (ROOT / "docs/reference/api.md").read_text() + (ROOT / "docs/reference/models.md").read_text()
    assert [name for name in keyclave.__all__ if name not in text] == []


def test_generated_pages_are_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [path for path in build.PAGES if path not in navigation] == []
