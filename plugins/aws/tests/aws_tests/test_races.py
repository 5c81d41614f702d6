"""Calls with one label at once: one key, and no call stands in the way of another.

Against the project's own KMS.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from aws_tests.faulty import Place, place_before
from keyclave.errors import KeyAlreadyExists, KeyNotFound
from keyclave.plugin import KeyLabel
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import alias_of, next_alias
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


def test_a_destruction_that_comes_again_leaves_the_next_key_alone(place: Place) -> None:
    here, elsewhere, label = place.open(), place.open("elsewhere"), place.label()
    first = place.create(here, label).reference
    here.destroy_key(key=first)
    second = place.create(here, label).reference
    elsewhere.destroy_key(key=first)
    assert place.create(elsewhere, label).reference == second
    assert here.find_key(label=label) == second
    assert place.arns(label) == [second.uri]


def test_a_destruction_is_not_called_off_once_there_is_another_key(place: Place) -> None:
    backend, label = place.open(), place.label()
    first = place.create(backend, label).reference
    backend.destroy_key(key=first)
    second = place.create(backend, label).reference
    with pytest.raises(KeyAlreadyExists):
        backend.cancel_destruction(key=first)
    assert place.arns(label) == [second.uri]


def test_processes_that_create_a_label_after_its_destruction_get_one_key(place: Place) -> None:
    backends = [place.open(f"machine-{number}") for number in range(THREADS)]
    for _ in range(5):
        label = place.label()
        for _ in range(3):
            with ThreadPoolExecutor(THREADS) as pool:
                made = set(pool.map(lambda each, label=label: place.create(each, label).reference, backends))
            assert place.arns(label) == [key.uri for key in made]
            with ThreadPoolExecutor(THREADS) as pool:
                set(pool.map(lambda each, made=made: each.destroy_key(key=next(iter(made))), backends))
            assert place.arns(label) == []


def test_creations_and_destructions_at_once_leave_one_key_or_none(place: Place) -> None:
    backends = [place.open(f"machine-{number}") for number in range(THREADS)]
    for _ in range(3):
        label = place.label()

        def come_and_go(backend: AwsBackend, label: KeyLabel = label) -> None:
            for _ in range(4):
                with suppress(KeyNotFound):  # destroyed by another thread before its public key was read
                    backend.destroy_key(key=place.create(backend, label).reference)
                with suppress(KeyNotFound):
                    backend.destroy_key(key=backend.find_key(label=label))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(come_and_go, backends))
        assert len(place.arns(label)) <= 1
        last = {place.create(backend, label).reference.uri for backend in backends}
        assert place.arns(label) == list(last)


def test_aliases_that_somebody_moved_make_no_second_key(place: Place) -> None:
    backend, label, other = place.open(), place.label(), place.label()
    key, stray = place.create(backend, label).reference, place.create(backend, other).reference
    place.direct.update_alias(AliasName=alias_of("keyclave", label), TargetKeyId=stray.uri)
    assert backend.find_key(label=label) == key
    assert place.create(backend, label).reference == key
    assert place.arns(label) == [key.uri]
    alias = next_alias(alias_of("keyclave", label), stray.uri.rpartition("/")[2])
    place.direct.update_alias(AliasName=alias, TargetKeyId=stray.uri)  # in a circle now
    assert backend.find_key(label=label) == key


def test_a_creation_is_noted_while_others_of_the_label_end(place: Place, tmp_path: Path) -> None:
    own, label = [Notes(tmp_path / "data") for _ in range(THREADS)], place.label()
    shared = own[0]

    def begin_and_end(number: int) -> None:  # one process has one object, which its threads share
        for notes in [own[number], shared] * 10:
            notes.write(label)
            notes.remove(label)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(begin_and_end, range(THREADS)))
    assert not shared.has(label)
