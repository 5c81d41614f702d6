"""Plugins that load and then lie, hang or change what they are given: each call fails closed, with a clear error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

OUT_OF_USE = "the backend is out of use: "
WRONG_SIGNATURE = "the signature that the backend made is wrong, and was dropped"
NO_ADDRESS = "it answered with a key whose address does not have the form of its backend"
LIES = {
    "subclass-record": ("BackendUnavailable", OUT_OF_USE + "create_key: it returned LyingRecord where Cre"),
    "subclass-text": (
        "BackendUnavailable",
        OUT_OF_USE + "create_key: it returned a CreatedKey that cannot be read (TypeError)",
    ),
    "bytes-subclass": ("BackendUnavailable", OUT_OF_USE + "sign: it returned Signed where a whole Signed is due"),
    "memory-view": ("BackendUnavailable", OUT_OF_USE + "sign: it returned Signed where a whole Signed is due"),
    "huge-signature": ("IntegrityError", WRONG_SIGNATURE),
    "another-key": ("IntegrityError", WRONG_SIGNATURE),
    "another-public-key": ("IntegrityError", WRONG_SIGNATURE),
    "changes-request": ("IntegrityError", "create_key backend 'changes-request': it answered with the label of"),
    "changes-reference": ("IntegrityError", WRONG_SIGNATURE),
    "another-level": ("BackendUnavailable", "it claims the level HSM without evidence (FR-003)"),
    "another-encoding": ("BackendUnavailable", "a signature of ED25519 is not encoded as p1363"),
    "changes-its-mind": ("IntegrityError", WRONG_SIGNATURE),
    "unwritable": ("BackendUnavailable", "it returned a BackendDescription that cannot be read (UnicodeEncodeError)"),
    "wrong-address": ("IntegrityError", NO_ADDRESS),
    "blocks-creating": ("OutcomeUnknown", "create_key backend 'blocks-creating': no answer within 1 s"),
    "blocks-signing": ("DeadlineExceeded", "sign backend 'blocks-signing': no answer within 2 s"),
    "blocks-describing": ("DeadlineExceeded", "describe backend 'blocks-describing': no answer within 2 s"),
    "generator-exit": ("BackendUnavailable", "the plugin raised GeneratorExit at keyclave_acme_liars/plugin.py:"),
    "interrupt": ("BackendUnavailable", "the plugin raised RuntimeError at keyclave_acme_liars/plugin.py:"),
    "silent-error": ("BackendUnavailable", "the plugin raised Silent at keyclave_acme_liars/plugin.py:"),
    "own-error": ("KeyDisabled", "sign backend 'own-error': it is off"),
    "audit-error": ("KeyclaveError", "sign backend 'audit-error': it is not recorded"),
    "hides-its-name": ("BackendUnavailable", OUT_OF_USE + "sign: it returned Nothing where a whole Signed is due"),
    "hides-its-class": ("BackendUnavailable", "the plugin raised Classless at keyclave_acme_liars/plugin.py:"),
    "hides-its-trace": ("BackendUnavailable", "the plugin raised Traceless at keyclave_acme_liars/plugin.py:"),
    "directory-exits": ("BackendUnavailable", "SystemExit at keyclave_acme_liars/plugin.py:"),
    "directory-blocks": ("BackendUnavailable", "looking at its hooks did not end within 2 s"),
    "settings-exit": ("ConfigurationError", "its settings model raised SystemExit at keyclave_acme_liars/plugin.py:"),
    "settings-elsewhere": ("BackendUnavailable", "settings_model returned Elsewhere, not a pydantic model"),
    "settings-tell": ("ConfigurationError", "pin: ValueError at keyclave_acme_liars/plugin.py:"),
}
LIMITS = {"probe": 30.0, "create_key": 1.0, "other": 2.0}


@pytest.fixture(scope="module")
def outcome(run: Callable[..., Any]) -> Any:
    """One process that uses all of them, each twice, between two uses of an honest one."""
    return run("exercise.py", "liars", names=["honest", *LIES], limits=LIMITS)


@pytest.mark.parametrize("name", LIES)
def test_its_lie_is_refused_with_a_clear_error(outcome: dict[str, Any], name: str) -> None:
    kind, text = LIES[name]
    first = outcome["first"][name]
    assert first.get("error") == kind, first
    assert text in first["text"]
    assert repr(name) in first["text"]
    assert outcome["second"][name]["error"] == kind


@pytest.mark.parametrize("name", LIES)
def test_nothing_that_it_wanted_to_tell_is_told(outcome: dict[str, Any], name: str) -> None:
    told = repr(outcome["first"][name]) + repr(outcome["second"][name]) + repr(outcome["reports"])
    assert "canary" not in told


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_the_honest_one_signs_before_and_after_them(outcome: dict[str, Any], attempt: str) -> None:
    made = outcome[attempt]["honest"]
    public_key: Any = load_der_public_key(bytes.fromhex(made["public_key"]))
    public_key.verify(bytes.fromhex(made["signature"]), b"message")
    assert [r["state"] for r in outcome["reports"] if r["name"] == "honest"] == ["loaded"]


def test_every_plugin_of_the_distribution_is_in_the_table(outcome: dict[str, Any]) -> None:
    offered = {r["name"] for r in outcome["reports"] if r["distribution"] == "keyclave-acme-liars"}
    assert offered == {"honest", *LIES}
