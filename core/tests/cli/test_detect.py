"""``keyclave detect``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keyclave.detectors import metadata

from core.tests.cli.conftest import Run
from tests.services.metadata import SERVERS, served

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYCLAVE_ENVIRONMENT__DETECTION__TIME_LIMIT", "10s")  # for a busy machine


def test_fr_002_the_command_says_what_was_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    said = run("detect", "--no-network").output
    assert "Environment: production\nBackend:     k8s\n" in said
    assert "kubernetes\t70%\t" in said
    assert "\tkeyclave.kubernetes\tKUBERNETES_SERVICE_HOST is set\n" in said
    assert "Install:     pip install keyclave-k8s  (the plugin for kubernetes)\n" in said
    assert "The network was not asked.\n" in said
    assert "Warning: [environment] type is local, and the evidence implies production\n" in said


def test_the_json_says_the_same(run: Run) -> None:
    found = json.loads(run("detect", "--no-network", "--json").stdout)
    assert set(found) == {
        *("environment_type", "backend_type", "evidence", "missing", "warnings", "network", "seconds")
    }
    assert (found["environment_type"], found["backend_type"], found["network"]) == ("local", "software", False)
    (host,) = found["evidence"]
    assert host["source"] == "keyclave.host"


def test_answers_of_the_network_are_asked_for_again_with_refresh(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(SERVERS["gcp"]) as server:
        monkeypatch.setattr(metadata, "ADDRESS", server.server_address)
        first = json.loads(run("detect", "--json").stdout)
        asked = len(server.asked)
        again = json.loads(run("detect", "--json").stdout)
        assert len(server.asked) == asked > 0
        run("detect", "--refresh")
        assert len(server.asked) == 2 * asked
    assert [each["cached"] for each in first["evidence"] if each["platform"] == "gcp"] == [False]
    assert [each["cached"] for each in again["evidence"] if each["platform"] == "gcp"] == [True]
    assert run("detect", "--no-network").output.startswith("Environment: production\n")


def test_the_doctor_says_that_the_environment_is_not_set(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace('type = "local"', ""))
    said = run("doctor").output
    assert "note    environment: [environment] type is not set" in said
    assert "environment: local, required level SOFTWARE" in said
