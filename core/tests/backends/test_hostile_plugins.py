"""Plugins that harm, as real distributions: each is reported, fails closed, and harms no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

BAD_IMPORTS = {
    "import-error": (
        "import",
        "ModuleNotFoundError for an_sdk_that_nobody_installed at keyclave_acme_imports/import_er",
    ),
    "system-exit": ("import", "SystemExit at keyclave_acme_imports/system_exit.py:3"),
    "assertion-error": ("import", "AssertionError at keyclave_acme_imports/assertion_error.py:3"),
    "base-exception": ("import", "Evil at keyclave_acme_imports/base_exception.py"),
    "syntax-error": ("import", "SyntaxError at keyclave_acme_imports/syntax_error.py:3"),
    "no-attribute": ("import", "AttributeError"),
    "never-returns": ("import", "did not return within"),
    "exits": ("import", "ended the process, with status 0"),
    "crashes": ("import", "ended the process, with status"),
    "closes": ("import", "ended the process, with status"),
    "hides": ("import", "Hidden at keyclave_acme_imports/hides.py"),
    "noise": ("import", "RuntimeError at keyclave_acme_imports/noise.py"),
    "recursion": ("import", "RecursionError at keyclave_acme_imports/recursion.py"),
    "threads": ("import", "RuntimeError at keyclave_acme_imports/threads.py"),
    "talks": ("import", "ended the process, with status 0"),
    "missing": ("origin", "keyclave_acme_imports.nowhere is not installed"),
}
BAD_HOOKS = {
    "no-module-hooks": ("register", "it implements no hook"),
    "misspelt-module": ("register", "open_backends is not a hook of Keyclave"),
    "settings-wrong": ("settings", "settings_model returned type, not a pydantic model"),
    "open-raises": ("open", "open_backend raised ZeroDivisionError at keyclave_acme_hooks/open_raises.py"),
    "open-exits": ("open", "open_backend raised SystemExit at keyclave_acme_hooks/open_exits.py"),
    "open-none": ("open", "open_backend returned None"),
    "no-hooks": ("register", "it implements no hook"),
    "no-describe": ("register", "it does not implement describe"),
    "misspelt": ("register", "sing is not a hook of Keyclave"),
    "wrong-signature": ("register", "sign must take exactly (key, data, scheme)"),
    "extra-argument": ("register", "Argument(s) {'salt'} are declared in the hookimpl but can not be found"),
    "asynchronous": ("register", "sign is asynchronous"),
    "twice": ("register", "it implements a hook twice"),
    "wrapper": ("register", "sign is a wrapper"),
    "old-wrapper": ("register", "sign is a wrapper"),
    "describe-raises": ("describe", "LookupError at keyclave_acme_hooks/describe_raises.py"),
    "describe-wrong": ("describe", "it says that it is 'not-describe-wrong'"),
    "wrong-record": ("call", "create_key: it returned Signed where CreatedKey is due"),
    "wrong-field": ("call", "create_key: it returned a CreatedKey whose $.reference.uri has the wrong type"),
    "returns-none": ("call", "create_key: it returned NoneType where CreatedKey is due"),
}
HOSTILE = BAD_IMPORTS | BAD_HOOKS


@pytest.fixture(scope="module")
def outcome(run: Callable[..., Any]) -> Any:
    """One process that has all of them installed and configured, and a healthy one before and after them."""
    return run("exercise.py", "acme", "imports", "hooks", names=["acme", *HOSTILE], limits={"probe": 10.0})


def report_of(outcome: dict[str, Any], name: str) -> dict[str, Any]:
    found = [report for report in outcome["reports"] if report["name"] == name]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.parametrize("name", HOSTILE)
def test_its_report_names_distribution_stage_and_reason(outcome: dict[str, Any], name: str) -> None:
    stage, reason = HOSTILE[name]
    report = report_of(outcome, name)
    distribution = "keyclave-acme-imports" if name in BAD_IMPORTS else "keyclave-acme-hooks"
    state = "conflicting" if stage == "origin" else "failed"
    assert (report["distribution"], report["version"], report["state"]) == (distribution, "1.0.0", state)
    assert report["stage"] == stage
    assert reason in report["reason"]


@pytest.mark.parametrize("name", HOSTILE)
def test_its_keys_fail_closed(outcome: dict[str, Any], name: str) -> None:
    for attempt in ("first", "second"):
        assert outcome[attempt][name]["error"] == "BackendUnavailable"
        assert repr(name) in outcome[attempt][name]["text"]


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_the_healthy_plugin_signs_before_and_after_them(outcome: dict[str, Any], attempt: str) -> None:
    made = outcome[attempt]["acme"]
    public_key: Any = load_der_public_key(bytes.fromhex(made["public_key"]))
    public_key.verify(bytes.fromhex(made["signature"]), b"message")
    assert report_of(outcome, "acme")["state"] == "loaded"


def test_nothing_that_an_exception_says_is_repeated(outcome: dict[str, Any]) -> None:
    assert "canary-in-the-text" not in repr({key: outcome[key] for key in ("first", "second", "reports")})


def test_discovery_reads_metadata_only(outcome: dict[str, Any]) -> None:
    assert {outcome["found"][name] for name in HOSTILE} == {"found"}


def test_a_plugin_whose_import_fails_in_the_child_is_not_imported_here(outcome: dict[str, Any]) -> None:
    assert "keyclave_acme_hooks.wrapper" in outcome["modules"]
    assert not [m for m in outcome["modules"] if m.startswith("keyclave_acme_imports")]
