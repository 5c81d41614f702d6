"""A machine of the test's own: a root directory, an environment, and a metadata server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from keyclave.detectors import DETECTORS, metadata
from keyclave.plugin import DetectionEvidence, Host

from tests.services.metadata import Handler, served

Detect = Callable[..., DetectionEvidence | None]
Serve = Callable[[Callable[[Handler], None]], Any]


@pytest.fixture
def detect(tmp_path: Path) -> Detect:
    """Ask one detector about a machine with these variables and files."""

    def ask(
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        network: bool = False,
        timeout: float = 10.0,
    ) -> DetectionEvidence | None:
        for path, content in (files or {}).items():
            file = tmp_path / "machine" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        host = Host(environment=environment or {}, root=tmp_path / "machine", timeout=timeout, network=network)
        detector: Any = DETECTORS[f"keyclave.{name}"]
        found: DetectionEvidence | None = detector.detect(host)
        return found

    return ask


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Put a server of the tests in the place of every cloud's."""
    with ExitStack() as stack:

        def start(answer: Callable[[Handler], None]) -> Any:
            server = stack.enter_context(served(answer))
            monkeypatch.setattr(metadata, "ADDRESS", server.server_address)
            return server

        yield start


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test serves something, nobody is there."""
    monkeypatch.setattr(metadata, "ADDRESS", ("127.0.0.1", 1))
