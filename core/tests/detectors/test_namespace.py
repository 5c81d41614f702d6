"""The whole program, at the one address that metadata servers have, in a network of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from keyclave.detectors.metadata import ADDRESS

from core.tests.detectors import inside
from tests.guard.sitecustomize import NOTES
from tests.services.metadata import TOKEN

INSIDE = Path(inside.__file__)
UNSHARE = ("unshare", "--user", "--net", "--map-root-user", sys.executable, str(INSIDE))
KEYCLAVE = str(Path(sys.executable).with_name("keyclave"))
OPEN = "import sys, keyclave; print(keyclave.open(sys.argv[1]).environment.environment_type)"
pytestmark = pytest.mark.needs("namespace")


def run(server: str, *command: str, tmp_path: Path, time_limit: str = "1s") -> tuple[int, str, str]:
    """Return the exit code of a command, what it printed, and its errors, on a machine without variables of a cloud.

    A busy machine may need more than the usual second for a server that is there.
    """
    clean = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", NOTES)}
    environment = {
        **clean,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "KEYCLAVE_ENVIRONMENT__DETECTION__TIME_LIMIT": time_limit,
    }
    done = subprocess.run(
        [*UNSHARE, server, *command], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def clouds(answer: str) -> list[str]:
    found: dict[str, Any] = json.JSONDecoder().raw_decode(answer)[0]
    return [each["platform"] for each in found["evidence"] if each["confidence"] > 0.95]


@pytest.fixture
def unset(config: Path) -> Path:
    """Settings that name no type of environment."""
    config.write_text(config.read_text().replace('type = "local"', ""))
    return config


def test_the_address_is_the_one_that_clouds_have() -> None:
    assert ADDRESS == inside.ADDRESS == ("169.254.169.254", 80)


@pytest.mark.parametrize(("server", "cloud"), [("azure", "azure"), ("gcp", "gcp")])
def test_fr_002_the_program_finds_the_cloud(config: Path, tmp_path: Path, server: str, cloud: str) -> None:
    command = (KEYCLAVE, "--config", str(config), "detect", "--json")
    code, said, errors = run(server, *command, tmp_path=tmp_path, time_limit="10s")
    assert code == 0, errors
    assert clouds(said) == [cloud]
    found = json.JSONDecoder().raw_decode(said)[0]
    assert (found["environment_type"], found["backend_type"]) == ("production", cloud)
    assert [plugin["distribution"] for plugin in found["missing"]] == [f"keyclave-{cloud}"]
    assert "[environment] type is local, and the evidence implies production" in found["warnings"]


@pytest.mark.needs("ec2-metadata-mock")
def test_fr_002_the_program_finds_ec2_and_keeps_no_token(config: Path, tmp_path: Path) -> None:
    detect = (KEYCLAVE, "--config", str(config), "detect", "--json")
    code, said, errors = run("ec2-metadata-mock", *detect, tmp_path=tmp_path, time_limit="10s")
    assert code == 0, errors
    assert clouds(said) == ["aws"]
    kept = json.loads((tmp_path / "state" / "detection.json").read_text())
    assert [each["source"] for each in kept["answers"] if each["evidence"] and each["source"] == "keyclave.aws"]
    texts = said + (tmp_path / "state" / "detection.json").read_text()
    assert "ttl" not in texts
    assert "==" not in texts  # as the tokens of the mock end


@pytest.mark.parametrize("server", ["none", "silence", "captive portal", "a byte a second"])
def test_fr_002_no_cloud_is_found_where_none_is_in_a_second(config: Path, tmp_path: Path, server: str) -> None:
    code, said, errors = run(server, KEYCLAVE, "--config", str(config), "detect", "--json", tmp_path=tmp_path)
    assert code == 0, errors
    assert clouds(said) == []
    found = json.JSONDecoder().raw_decode(said)[0]
    assert found["network"]
    assert found["seconds"] < 5  # a second, and what a busy machine adds


def test_opening_asks_no_network(unset: Path, tmp_path: Path) -> None:
    code, said, errors = run("azure", sys.executable, "-c", OPEN, str(unset), tmp_path=tmp_path)
    assert (code, said.split()) == (0, ["local", "0"]), errors


def test_fr_002_what_the_network_said_tightens_the_next_opening(unset: Path, tmp_path: Path) -> None:
    detect, program = (KEYCLAVE, "--config", str(unset), "detect"), (sys.executable, "-c", OPEN, str(unset))
    assert run("azure", *detect, "--no-network", tmp_path=tmp_path)[1].splitlines()[-1] == "0"
    assert run("none", *program, tmp_path=tmp_path)[1].strip() == "local"
    code, said, errors = run("azure", *detect, tmp_path=tmp_path, time_limit="10s")
    assert code == 0, errors
    assert TOKEN not in said + errors
    assert run("none", *program, tmp_path=tmp_path)[1].strip() == "production"
