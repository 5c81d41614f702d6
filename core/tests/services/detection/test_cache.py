"""The file that remembers what the network said: one that others could have written, or that lies, is left aside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keyclave.backends.detection import DetectionAnswer
from keyclave.models import EnvironmentType
from keyclave.plugin import DetectionEvidence
from keyclave.services.detection.cache import DetectionCache

ANSWER = DetectionAnswer(
    source="keyclave.aws",
    evidence=DetectionEvidence(
        platform="aws",
        backend_type="aws",
        environment_type=EnvironmentType.PRODUCTION,
        confidence=0.99,
        observations=("seen",),
    ),
    seconds=0.1,
)
HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "detection.json"


@pytest.fixture
def cache(path: Path) -> DetectionCache:
    return DetectionCache(path, expiry=HOUR, negative_expiry=timedelta(minutes=5))


def test_what_was_written_is_read(cache: DetectionCache, path: Path) -> None:
    assert cache.read() is None
    cache.write([ANSWER])
    assert cache.read() == (ANSWER,)
    assert path.stat().st_mode & 0o077 == 0
    cache.write([])
    assert cache.read() == ()


@pytest.mark.parametrize(
    ("answers", "minutes", "kept"), [([ANSWER], 59, True), ([ANSWER], 61, False), ([], 4, True), ([], 6, False)]
)
def test_answers_expire(
    cache: DetectionCache, path: Path, answers: list[DetectionAnswer], minutes: int, *, kept: bool
) -> None:
    cache.write(answers)
    stored = json.loads(path.read_text())
    stored["at"] = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    path.write_text(json.dumps(stored))
    assert (cache.read() is not None) == kept


def _content(change: Callable[[Any], object]) -> Callable[[Path], object]:
    def poison(path: Path) -> None:
        stored = json.loads(path.read_text())
        change(stored)
        path.write_text(json.dumps(stored))

    return poison


def _replace_by_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _in_an_hour(stored: Any) -> None:
    stored["at"] = (datetime.now(UTC) + HOUR).isoformat()


POISON: dict[str, Callable[[Path], object]] = {
    "a mode that lets others write": lambda path: path.chmod(0o666),
    "a mode that lets others read": lambda path: path.chmod(0o640),
    "a directory that lets others in": lambda path: path.parent.chmod(0o777),
    "a symbolic link": _replace_by_link,
    "a second name": lambda path: path.with_name("other").hardlink_to(path),
    "a directory": _replace_by_directory,
    "a named pipe": _replace_by_pipe,
    "too long": lambda path: path.write_bytes(path.read_bytes() + b" " * 5_000_000),
    "no JSON": lambda path: path.write_text("{"),
    "no UTF-8": lambda path: path.write_bytes(b"\xff" * 100),
    "nested deeply": lambda path: path.write_text("[" * 100_000),
    "empty": lambda path: path.write_text(""),
    "another shape": lambda path: path.write_text("[]"),
    "another format": _content(lambda stored: stored.update(format=2)),
    "an unknown field": _content(lambda stored: stored.update(environment_type="local")),
    "a missing field": _content(lambda stored: stored.pop("answers")),
    "an unknown environment": _content(lambda s: s["answers"][0]["evidence"].update(environment_type="lax")),
    "a confidence out of range": _content(lambda stored: stored["answers"][0]["evidence"].update(confidence=2)),
    "from the future": _content(_in_an_hour),
    "from the end of time": _content(lambda stored: stored.update(at="9999-12-31T23:59:59Z")),
    "without a time zone": _content(lambda stored: stored.update(at="2026-01-01T00:00:00")),
}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes, and no links for every user")
@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_file_is_left_aside_and_said_so(
    cache: DetectionCache, path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write([ANSWER])
    POISON[kind](path)
    assert cache.read() is None
    assert f"the cached evidence in {path} is left aside: " in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="Windows has no owners of this kind")
def test_a_file_of_another_user_is_left_aside(
    cache: DetectionCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write([ANSWER])
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert cache.read() is None
    assert "belongs to another user" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes, and no links for every user")
def test_a_link_is_replaced_and_what_it_points_to_is_not(cache: DetectionCache, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_text("untouched")
    path.symlink_to(target)
    cache.write([ANSWER])
    assert target.read_text() == "untouched"
    assert cache.read() == (ANSWER,)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = DetectionCache(tmp_path / "file" / "detection.json", expiry=HOUR, negative_expiry=HOUR)
    cache.write([ANSWER])
    assert "what was detected is not cached" in caplog.text
    assert cache.read() is None
