"""The directory of a backend is taken away and given back, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keyclave.plugin.files import private_directory
from keyclave_contract_tests.away import taken_away
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.kept import kept
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.violations import Unsupported, Violation


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    budget = BUDGETS["smoke"]
    bench = Bench(Made(make=Miniature, plugin=NAME), budget, Labels("0a1b2c3d"), tmp_path, Meter(budget))
    yield bench
    bench.close()


@pytest.fixture
def key_file(bench: Bench) -> Path:
    directory = bench.context().data_directory
    directory.mkdir()
    file = directory / "master.key"
    file.write_bytes(b"the key of keys, in a file\n")
    return file


def test_what_is_taken_away_comes_back(bench: Bench, key_file: Path) -> None:
    with taken_away(bench):
        assert not key_file.parent.exists()
    assert key_file.exists()


def test_it_comes_back_after_an_error(bench: Bench, key_file: Path) -> None:
    with pytest.raises(Violation, match="broken"), taken_away(bench):
        raise Violation("broken")
    assert key_file.exists()


def test_a_directory_that_is_made_anew_is_found_out_and_comes_back(bench: Bench, key_file: Path) -> None:
    with pytest.raises(Violation, match="anew"), taken_away(bench):
        private_directory(key_file.parent / "of-another")
    assert key_file.read_bytes().startswith(b"the key of keys")


def test_a_backend_without_a_directory_has_nothing_to_lose(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="keeps nothing"), taken_away(bench):
        raise AssertionError


def test_what_the_files_hold_is_read_without_the_end_of_the_line(bench: Bench, key_file: Path) -> None:
    key_file.with_name("mark").write_bytes(b"version 1")
    key_file.with_name("store").write_bytes(bytes(100_000))
    assert list(kept(bench)) == [("master.key", b"the key of keys, in a file")]
