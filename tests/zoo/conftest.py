"""For every test of the zoo."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def processes_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let coverage leave the processes of the runs aside: they are thousands, and run no code that others do not."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
