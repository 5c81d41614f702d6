"""Calls with one label at once: one key, and no call stands in the way of another.

Against the project's own KMS.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aws_tests.faulty import Place, place_before
from keyclave_aws.notes import Notes

from tests.services.kms import server

THREADS = 8


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with server.running() as own, place_before(own.port, tmp_path) as place:
        yield place


def test_threads_that_create_one_label_get_one_key(place: Place) -> None:
    backend = place.open()
    for _ in range(5):
        label = place.label()
        with ThreadPoolExecutor(THREADS) as pool:
            made = list(pool.map(lambda _, label=label: place.create(backend, label).reference, range(THREADS)))
        assert len(set(made)) == 1
        assert place.arns(label) == [made[0].uri]


def test_a_creation_is_noted_while_others_of_the_label_end(place: Place, tmp_path: Path) -> None:
    notes, label = Notes(tmp_path / "data"), place.label()

    def begin_and_end(_: int) -> None:
        for _ in range(20):
            notes.write(label)
            notes.remove(label)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(begin_and_end, range(THREADS)))
    assert not notes.has(label)
