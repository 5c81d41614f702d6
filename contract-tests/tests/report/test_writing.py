"""All forms of a report are written, or an error says why not."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from keyclave.errors import ConfigurationError
from keyclave_contract_tests.report.document import read
from keyclave_contract_tests.report.writing import write
from keyclave_contract_tests.results import Report

NAMES = ["contract-report.json", "contract-report.xml", "contract-report.html", "contract-badge.svg"]


def test_four_files_and_nothing_else(report: Report, perfect: Report, tmp_path: Path) -> None:
    target = tmp_path / "made" / "here"
    assert [path.name for path in write(report, target)] == NAMES
    assert [path.parent for path in write(perfect, target)] == [target] * 4
    assert sorted(path.name for path in target.iterdir()) == sorted(NAMES)
    assert read(target / NAMES[0]) == perfect
    assert ET.parse(target / NAMES[1]).getroot().get("failures") == "0"
    assert "Acme Vault HSM 3000" in (target / NAMES[2]).read_text(encoding="utf-8")
    assert ET.parse(target / NAMES[3]).getroot().get("role") == "img"


def test_what_is_still_in_the_backend_is_a_file_of_its_own(report: Report, perfect: Report, tmp_path: Path) -> None:
    write(msgspec.structs.replace(report, leftovers=("ct-0a1b2c3d-7",)), tmp_path)
    assert json.loads((tmp_path / "leftovers.json").read_text()) == {
        "left": ["ct-0a1b2c3d-7"],
        "run": report.run.id,
        "scheduled": [],
    }
    write(perfect, tmp_path)
    assert not (tmp_path / "leftovers.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_the_files_are_private_until_somebody_publishes_them(report: Report, tmp_path: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in write(report, tmp_path)} == {0o600}


def test_megabytes_from_a_plugin_stay_out(hostile: Callable[[str], Report], tmp_path: Path) -> None:
    paths = write(hostile("\x1b\ud800<" + "x" * 1_000_000), tmp_path)
    assert sum(path.stat().st_size for path in paths) < 2_000_000


def test_a_directory_that_cannot_be_made(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"cannot be written to .*file: ") as caught:
        write(report, tmp_path / "file")
    assert caught.value.next_step == "Name a directory that this process can write to."
