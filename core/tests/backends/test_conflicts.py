"""Which of several installed distributions serves a name: decided on metadata, before anything is imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def reports_of(outcome: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return sorted((r for r in outcome["reports"] if r["name"] == name), key=lambda r: str(r["distribution"]))


def imported(outcome: dict[str, Any], package: str) -> bool:
    return any(module.split(".")[0] == package for module in outcome["modules"])


@pytest.mark.parametrize(
    "path",
    [("twin-one", "twin-two", "acme"), ("twin-one", "acme", "twin-two"), ("twin-two", "acme", "twin-one")],
    ids=["adjacent", "not adjacent", "other way round"],
)
def test_of_two_distributions_with_one_name_neither_loads(run: Run, path: tuple[str, ...]) -> None:
    outcome = run("exercise.py", *path, names=["twin", "acme"])
    first, second = reports_of(outcome, "twin")
    assert (first["distribution"], second["distribution"]) == ("keyclave-acme-twin-one", "keyclave-acme-twin-two")
    for report in (first, second):
        assert (report["state"], report["stage"]) == ("conflicting", "discovery")
        assert "keyclave-acme-twin-one" in report["reason"]
        assert "keyclave-acme-twin-two" in report["reason"]
    assert outcome["first"]["twin"]["error"] == "BackendUnavailable"
    assert outcome["first"]["twin"]["cause"] == "PluginConflict"
    assert not imported(outcome, "keyclave_acme_twin_one")
    assert not imported(outcome, "keyclave_acme_twin_two")
    assert "signature" in outcome["first"]["acme"]


def test_a_pin_decides_between_two_distributions(run: Run) -> None:
    pins = {"twin": "Keyclave_Acme.Twin-Two"}
    outcome = run("exercise.py", "twin-one", "twin-two", names=["twin"], pins=pins)
    first, second = reports_of(outcome, "twin")
    assert (first["state"], first["stage"]) == ("blocked", "policy")
    assert "pin the name to keyclave-acme-twin-two" in first["reason"]
    assert (second["state"], second["stage"], second["reason"]) == ("failed", "register", "it implements no hook")
    assert not imported(outcome, "keyclave_acme_twin_one")
    assert imported(outcome, "keyclave_acme_twin_two")


def test_a_pin_to_a_distribution_that_is_not_installed_blocks_the_one_that_is(run: Run) -> None:
    outcome = run("exercise.py", "acme", names=["acme"], pins={"acme": "keyclave-other"})
    assert [r["state"] for r in reports_of(outcome, "acme")] == ["blocked"]
    assert outcome["first"]["acme"]["error"] == "BackendUnavailable"
    assert not imported(outcome, "keyclave_acme")


@pytest.mark.parametrize("pins", [{}, {"tpm": "keyclave-acme-impostor"}], ids=["no pin", "pinned"])
def test_a_first_party_name_is_never_served_by_a_foreign_distribution(run: Run, pins: dict[str, str]) -> None:
    outcome = run("exercise.py", "impostor", "acme", names=["tpm", "acme"], pins=pins)
    (report,) = reports_of(outcome, "tpm")
    assert (report["distribution"], report["state"]) == ("keyclave-acme-impostor", "conflicting")
    assert report["reason"] == "the name is reserved for keyclave-tpm, and keyclave-acme-impostor offers it"
    assert outcome["first"]["tpm"]["error"] == "BackendUnavailable"
    assert outcome["first"]["tpm"]["retryable"] is False
    assert not imported(outcome, "keyclave_acme_impostor")
    assert "signature" in outcome["first"]["acme"]


def test_the_rightful_owner_of_a_first_party_name_keeps_it(run: Run) -> None:
    outcome = run("exercise.py", "impostor", names=["software"])
    foreign, own = reports_of(outcome, "software")
    assert (foreign["distribution"], foreign["state"]) == ("keyclave-acme-impostor", "conflicting")
    assert (own["distribution"], own["state"]) == ("keyclave-software", "loaded")
    assert not imported(outcome, "keyclave_acme_impostor")


def test_a_plugin_for_a_later_keyclave_is_not_imported(run: Run) -> None:
    outcome = run("exercise.py", "future", "acme", names=["future", "acme"])
    (report,) = reports_of(outcome, "future")
    assert (report["distribution"], report["state"], report["stage"]) == (
        "keyclave-acme-future",
        "failed",
        "requires",
    )
    assert "it requires keyclave>=99, and keyclave " in report["reason"]
    assert outcome["first"]["future"]["error"] == "BackendUnavailable"
    assert outcome["first"]["future"]["cause"] == "ContractMismatch"
    assert not imported(outcome, "keyclave_acme_future")
    assert "signature" in outcome["first"]["acme"]


@pytest.mark.parametrize("shadow", ["keyclave_acme_shadowed/__init__.py", "keyclave_acme_shadowed.py"])
def test_a_module_that_shadows_a_plugin_is_not_imported(run: Run, tmp_path: Path, shadow: str) -> None:
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).write_text("")
    outcome = run("exercise.py", "shadowed", "acme", path=(tmp_path,), names=["shadowed", "acme"])
    (report,) = reports_of(outcome, "shadowed")
    assert (report["state"], report["stage"]) == ("conflicting", "origin")
    assert report["reason"] == (
        "its module keyclave_acme_shadowed is found in a file that the distribution did not install"
    )
    assert outcome["first"]["shadowed"]["cause"] == "PluginConflict"
    assert not imported(outcome, "keyclave_acme_shadowed")
    assert "signature" in outcome["first"]["acme"]


@pytest.mark.parametrize("policy", [{"allow": ["acme"]}, {"block": ["wrapper"]}], ids=["not allowed", "blocked"])
def test_a_plugin_that_the_settings_do_not_allow_is_reported_and_not_imported(
    run: Run, policy: dict[str, list[str]]
) -> None:
    outcome = run("exercise.py", "acme", "hooks", names=["wrapper", "acme"], **policy)
    (report,) = reports_of(outcome, "wrapper")
    assert (report["state"], report["stage"], report["reason"]) == (
        "blocked",
        "policy",
        "the settings do not allow it",
    )
    assert outcome["first"]["wrapper"]["error"] == "BackendUnavailable"
    assert not imported(outcome, "keyclave_acme_hooks")
    assert "signature" in outcome["first"]["acme"]


def test_a_plugin_that_is_not_installed_is_reported(run: Run) -> None:
    outcome = run("exercise.py", names=["absent"])
    (report,) = reports_of(outcome, "absent")
    assert (report["distribution"], report["state"], report["stage"]) == (None, "failed", "discovery")
    assert outcome["first"]["absent"]["error"] == "BackendUnavailable"
