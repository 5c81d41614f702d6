"""The trial import, where it cannot be made; what it finds is in `test_hostile_plugins`."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import pytest
from keyclave.backends.failures import bare, describe
from keyclave.backends.probe import probe
from keyclave.errors import AuthenticationFailed, KeyclaveError, PluginLoadError, Throttled

HEALTHY = EntryPoint(name="healthy", value="keyclave.models", group="keyclave.backends")


def test_a_healthy_import_passes() -> None:
    probe(HEALTHY, 60)


def test_the_child_has_the_same_path_and_prints_to_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probed_module.py").write_text("print('noise')")
    entry_point = EntryPoint(name="noise", value="probed_module", group="keyclave.backends")
    with pytest.raises(PluginLoadError, match="its import raised ModuleNotFoundError for probed_module"):
        probe(entry_point, 60)
    monkeypatch.syspath_prepend(str(tmp_path))
    probe(entry_point, 60)
    assert "probed_module" not in sys.modules


@pytest.mark.parametrize(
    ("executable", "problem"),
    [("", "there is no Python interpreter"), ("/nowhere/python", "no process to try its import in could be started")],
)
def test_without_an_interpreter_nothing_is_taken_on_trust(
    monkeypatch: pytest.MonkeyPatch, executable: str, problem: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(PluginLoadError, match=problem):
        probe(HEALTHY, 60)


def test_a_frozen_application_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(PluginLoadError, match="there is no Python interpreter"):
        probe(HEALTHY, 60)


def test_an_answer_without_the_nonce_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for number, answer in enumerate(['{"nonce": "x", "outcome": ""}', '{"nonce": 1}', "[]", "", "\\x00"]):
        name = f"answering_{number}"
        (tmp_path / f"{name}.py").write_text(
            f"import os, gc\nfor fd in range(3, 20):\n    try:\n        os.write(fd, b'''{answer}''')\n"
            "    except OSError:\n        pass\nos._exit(0)\n"
        )
        with pytest.raises(PluginLoadError, match="its import ended the process, with status 0"):
            probe(EntryPoint(name=name, value=name, group="keyclave.backends"), 60)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("canary", name="boto3.session"), "ModuleNotFoundError for boto3.session"),
        (ModuleNotFoundError("canary", name="not a name: canary"), "ModuleNotFoundError"),
        (ModuleNotFoundError("canary", name="a" * 101), "ModuleNotFoundError"),
        (SyntaxError("canary", ("/a/b/c.py", 7, 1, "canary")), "SyntaxError at b/c.py:7"),
        (OSError(5, "canary", "canary"), "OSError"),
        (type("N" * 500, (Exception,), {})("canary"), "N" * 100),
        (type("\x1b[2Jcanary", (Exception,), {})("canary"), "a type whose name cannot be shown"),
        (ModuleNotFoundError("canary", name=cast("str", 7)), "ModuleNotFoundError"),
        (SyntaxError("canary", (cast("str", 7), 7, 1, "canary")), "SyntaxError"),
        (SyntaxError("canary", ("/a/b/\x1b[2J.py", 7, 1, "canary")), "SyntaxError"),
    ],
)
def test_a_description_holds_type_and_place_only(error: BaseException, text: str) -> None:
    assert describe(error) == text


class Secretive(Throttled):
    """An error of a plugin's own that shows nothing of itself."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # that is the point
        raise RuntimeError("canary")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            Throttled("busy", retry_after=2.5, backend_id="a"),
            {"message": "busy", "retry_after": 2.5, "backend_id": "a"},
        ),
        (Throttled("no", provider_reference="r-1"), {"message": "no", "provider_reference": "r-1"}),
        (
            Throttled("no", provider_reference=cast("str", b"canary")),
            {"message": "no", "provider_reference": None},
        ),
        (AuthenticationFailed("no", attempts_left=2), {"message": "no", "attempts_left": 2}),
        (AuthenticationFailed("no", attempts_left=cast("int", "canary")), {"message": "no", "attempts_left": None}),
        (Throttled(cast("str", b"canary")), {"message": "the plugin does not say why", "retry_after": None}),
        (Secretive("canary"), {"message": "the plugin does not say why", "retryable": True}),
    ],
)
def test_an_error_is_made_anew_from_what_it_may_say(error: KeyclaveError, expected: dict[str, Any]) -> None:
    error.add_note("canary")
    again = bare(error)
    assert type(again) in {Throttled, AuthenticationFailed}
    assert {name: getattr(again, name) for name in expected} == expected
    assert again.__notes__ == [f"Next: {again.next_step}"]
    assert "canary" not in repr(again) + repr(vars(again))
