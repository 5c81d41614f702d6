"""What the doctor says of fallbacks that are under way, and of standbys that could not sign (FR-024)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave.state.records import StoredFallback

from core.tests.cli.conftest import Run

SPARE = '[backends.spare]\nplugin = "software"\n'
ENABLED = '[environment.fallback]\nenabled = true\nmax_duration = "1h"\n'
Doctor = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def doctor(run: Run, config: Path) -> Doctor:
    """Create a key with a standby, and return what the doctor finds of fallbacks."""
    config.write_text(config.read_text() + SPARE + ENABLED)
    run("keys", "create", "k", "--algorithm", "ED25519")

    def look(code: int = 0) -> list[dict[str, Any]]:
        found = json.loads(run("doctor", "--json", code=code).stdout)["findings"]
        return [finding for finding in found if finding["area"] == "fallback"]

    return look


def begin(config: Path, ago: timedelta) -> None:
    with keyclave.open(config) as clave, clave._store.write() as state:
        begun_at = datetime.now(UTC) - ago
        state.fallbacks.put(StoredFallback(backend_id="software", begun_at=begun_at, ended_at=None))


def test_fr_024_the_doctor_says_that_nothing_is_wrong(doctor: Doctor) -> None:
    (found,) = doctor()
    assert (found["status"], found["text"]) == ("ok", "none is under way, and every standby can sign")


def test_fr_024_the_doctor_shows_a_fallback_since_when_and_for_how_much_longer(
    doctor: Doctor, run: Run, config: Path
) -> None:
    begin(config, timedelta(minutes=20))
    (found,) = doctor()
    assert found["status"] == "note"
    assert found["text"].startswith("standbys sign for backend 'software' since 20")
    assert " for 0:39:5" in found["text"]
    assert "keyclave health" in found["next_step"]
    assert "note    fallback: standbys sign for backend 'software'" in run("doctor").stdout


def test_fr_024_the_doctor_shows_a_fallback_without_a_limit(doctor: Doctor, config: Path) -> None:
    config.write_text(config.read_text().replace('max_duration = "1h"', ""))
    begin(config, timedelta(days=3))
    (found,) = doctor()
    assert found["text"].endswith(", until it is back")


def test_fr_024_a_fallback_that_lasted_as_long_as_it_may_is_a_problem(doctor: Doctor, config: Path) -> None:
    begin(config, timedelta(hours=2))
    (found,) = doctor(code=1)
    assert (found["status"], "as long as max_duration allows" in found["text"]) == ("problem", True)


def test_fr_024_the_doctor_finds_standbys_that_the_settings_do_not_let_sign(doctor: Doctor, config: Path) -> None:
    config.write_text(config.read_text().replace("enabled = true", "enabled = false"))
    (found,) = doctor()
    assert found["status"] == "note"
    assert found["text"] == (
        "1 standby version in backend 'spare' cannot sign, such as version 2 of 'k': the policy allows no fallback"
    )


def test_fr_024_the_doctor_finds_standbys_whose_backend_is_gone(doctor: Doctor, config: Path) -> None:
    config.write_text(config.read_text().replace(SPARE, ""))
    (found,) = doctor(code=1)
    assert (found["status"], "no such backend is configured" in found["text"]) == ("problem", True)


def test_fr_024_the_doctor_finds_a_standby_that_was_destroyed_by_hand(doctor: Doctor, config: Path) -> None:
    (key,) = (path for path in config.parent.rglob("*.key") if "spare" in str(path) and len(path.stem) == 32)
    key.unlink()
    (found,) = doctor(code=1)
    assert found["text"].endswith("version 2 of 'k': its backend does not have it")
    assert "keys standby NAME" in found["next_step"]


def test_fr_024_the_doctor_finds_a_standby_that_waits_to_be_replaced(doctor: Doctor, run: Run) -> None:
    run("keys", "rotate", "k", "--now", "--algorithm", "ECDSA_P256")
    (found,) = doctor(code=1)
    assert "does not fit the active version" in found["text"]
    run("keys", "rotate-due")
    (found,) = doctor()
    assert found["status"] == "ok"
