from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import Labels


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def test_what_was_planned_and_not_gone_is_found_again(tmp_path: Path) -> None:
    labels = Labels("0a1b2c3d")
    first, second, third = labels.new(), labels.new(), labels.new()
    with opened(tmp_path / "journal") as journal:
        for label in (first, second, third):
            journal.planned(label)
        journal.gone(second)
        with opened(tmp_path / "journal") as again:
            assert again.labels == (first, third)


def test_a_plan_is_on_the_disk_before_the_call_that_it_announces(tmp_path: Path) -> None:
    label = Labels("0a1b2c3d").new()
    with opened(tmp_path / "journal") as journal:
        journal.planned(label)
        assert str(label) in (tmp_path / "journal").read_text()


def test_a_last_line_that_was_cut_off_is_no_plan(tmp_path: Path) -> None:
    label = Labels("0a1b2c3d").new()
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.planned(label)
    path.write_bytes(path.read_bytes() + b'{"event": "planned", "na')
    with opened(path) as journal:
        assert journal.labels == (label,)
