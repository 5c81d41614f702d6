"""Services that are started and stopped by hand, as the command does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.services import go, nss, p11_kit, softhsm
from tests.services.catalog import SERVICES, not_root, program
from tests.services.tokens import PIN

ROOT = Path(__file__).parents[2]


def services(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.services", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where services are remembered. Its path is short, as that of a socket must be, and can be opened to others."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def reach(output: str) -> dict[str, str]:
    lines = (line.strip().removeprefix("export ") for line in output.splitlines() if line.startswith("  "))
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


@pytest.mark.needs("softhsm")
@pytest.mark.needs("nss")
def test_tokens_are_made_and_removed(scratch: Path) -> None:
    started = services(scratch, "start", "softhsm", "nss")
    assert started.returncode == 0, started.stderr
    found = reach(started.stdout)
    assert Path(found["SOFTHSM2_CONF"]).exists()
    assert Path(found["pin_file"]).read_text().strip() == PIN
    assert Path(found["pin_file"]).stat().st_mode & 0o777 == 0o600
    again = services(scratch, "start", "softhsm")
    assert again.returncode == 1
    assert "stop it first" in again.stderr
    stopped = services(scratch, "stop", "softhsm", "nss")
    assert stopped.stdout.splitlines() == ["softhsm is stopped", "nss is stopped"]
    assert not Path(found["SOFTHSM2_CONF"]).exists()
    assert services(scratch, "stop", "nss").stdout.strip() == "nss was not started"


@pytest.mark.needs("postgresql")
def test_a_server_outlives_its_command_until_it_is_stopped(scratch: Path) -> None:
    scratch.chmod(0o755)  # the server runs as another user where this is root
    started = services(scratch, "start", "postgresql")
    assert started.returncode == 0, started.stderr
    found = reach(started.stdout)
    with psycopg.connect(found["url"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert services(scratch, "stop", "postgresql").returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(found["process"]), 0)


@pytest.mark.needs("ministack")
def test_an_emulator_outlives_its_command_until_it_is_stopped(scratch: Path) -> None:
    started = services(scratch, "start", "ministack")
    assert started.returncode == 0, started.stderr
    found = reach(started.stdout)
    with urllib.request.urlopen(f"{found['endpoint']}/_ministack/health", timeout=10) as answer:
        assert json.load(answer)["services"]["kms"] == "available"
    assert services(scratch, "stop", "ministack").returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(found["process"]), 0)


def test_an_unknown_service_is_refused(scratch: Path) -> None:
    assert services(scratch, "start", "mainframe").returncode == 2


@pytest.mark.needs("softhsm")
def test_softhsm_tokens_have_their_labels(tmp_path: Path) -> None:
    tokens = softhsm.make_tokens(tmp_path, "one", "other")
    tool = program("softhsm", "softhsm2-util")
    assert tool is not None
    slots = subprocess.run(
        [tool, "--show-slots"],
        env={**os.environ, **tokens["one"].environment},
        capture_output=True,
        text=True,
        check=True,
    )
    labels = [line.split(":")[1].strip() for line in slots.stdout.splitlines() if "Label:" in line]
    assert sorted(filter(None, labels)) == ["one", "other"]


@pytest.mark.needs("nss")
def test_an_nss_token_names_its_database(tmp_path: Path) -> None:
    token = nss.make_token(tmp_path)
    assert token.parameters is not None
    assert str(tmp_path / "database") in token.parameters


@pytest.mark.needs("nss")
@pytest.mark.needs("p11-kit")
def test_the_token_of_nss_is_behind_p11_kit_and_nothing_else_is(tmp_path: Path) -> None:
    token = p11_kit.make_token(tmp_path)
    listing = f"import pkcs11; print([t.label for t in pkcs11.lib({str(token.module)!r}).get_tokens()])"
    seen = subprocess.run(
        [*not_root(), sys.executable, "-c", listing],
        env={**os.environ, **token.environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert token.parameters is None
    assert seen.stdout.strip() == str(["NSS Generic Crypto Services", token.label])


def test_every_service_says_where_it_comes_from() -> None:
    for name, service in SERVICES.items():
        assert service.purpose
        assert service.packages or name in go.MODULES or (ROOT / "constraints" / f"{name}.txt").is_file()
