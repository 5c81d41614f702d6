"""A module is loaded in another process, which tells what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from keyclave_contract_tests.loading import load
from keyclave_contract_tests.violations import Violation


def test_a_light_plugin_only_defines() -> None:
    loaded = load("keyclave_software.plugin")
    assert (loaded.failure, loaded.imported, loaded.effects, loaded.threads) == ("", [], [], 0)
    assert (loaded.printed, loaded.detects, loaded.settings) == (0, False, "")


def test_a_module_that_is_not_there_is_told() -> None:
    assert load("no_such_module_anywhere").failure == "ModuleNotFoundError"


def test_a_module_that_ends_the_process_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ends_the_process.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Violation, match="ended the process, with status 3"):
        load("ends_the_process")
