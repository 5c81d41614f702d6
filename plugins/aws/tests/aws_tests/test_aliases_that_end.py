"""One label, one usable key: also when KMS deletes keys with their aliases, and while others call destructions off.

Against the project's own KMS, whose clock the tests move.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_tests.backends import NewLabel, Open, create
from keyclave.errors import Conflict, KeyAlreadyExists, KeyDisabled, KeyNotFound
from keyclave.plugin import KeyLabel, KeyReference
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import tags_of

from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running

USABLE = {"Enabled", "Disabled"}


def usable(own_kms: Running, label: KeyLabel) -> list[str]:
    """The ARNs of the keys with the tags of a label that can be used, or be enabled."""
    tags = {tag["TagKey"]: tag["TagValue"] for tag in tags_of(label)}
    return [key.arn for key in own_kms.kms.account.keyring.keys.values() if key.tags == tags and key.state in USABLE]


def let_pass(own_kms: Running, days: float) -> None:
    own_kms.kms.account.clock = lambda: datetime.now(UTC) + timedelta(days=days)


def generations(backend: AwsBackend, label: KeyLabel, count: int) -> list[KeyReference]:
    """Make keys of one label, each but the last one destroyed."""
    made = [create(backend, label).reference]
    while len(made) < count:
        backend.destroy_key(key=made[-1])
        made.append(create(backend, label).reference)
    return made


@pytest.mark.parametrize("count", [2, 3])
def test_own_kms_the_next_key_stays_the_only_one_when_the_first_is_deleted(
    open_backend: Open, own_kms: Running, new_label: NewLabel, count: int
) -> None:
    backend, label = open_backend(own_kms.endpoint), new_label()
    *_, last = generations(backend, label, count)
    let_pass(own_kms, 31)
    for each in (backend, open_backend(own_kms.endpoint)):
        assert create(each, label).reference == last
        assert each.find_key(label=label) == last
    assert usable(own_kms, label) == [last.uri]
    assert len(own_kms.kms.account.keyring.keys) == 1
    backend.destroy_key(key=last)
    with pytest.raises(KeyNotFound):
        backend.find_key(label=label)
    new = create(backend, label).reference
    assert usable(own_kms, label) == [new.uri]
    with pytest.raises(KeyAlreadyExists):
        backend.cancel_destruction(key=last)
    assert usable(own_kms, label) == [new.uri]


def test_own_kms_a_key_after_one_that_is_deleted_earlier_is_found(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    slow, quick, label = open_backend(own_kms.endpoint), open_backend(own_kms.endpoint, deletion_days=7), new_label()
    first = create(slow, label).reference
    slow.destroy_key(key=first)
    second = create(slow, label).reference
    quick.destroy_key(key=second)
    third = create(slow, label).reference
    let_pass(own_kms, 8)
    assert slow.find_key(label=label) == third
    assert create(slow, label).reference == third
    for gone, error in ((first, KeyAlreadyExists), (second, KeyNotFound)):
        with pytest.raises(error):
            slow.cancel_destruction(key=gone)
    assert usable(own_kms, label) == [third.uri]


def test_own_kms_no_key_is_made_while_one_of_its_label_is_about_to_be_deleted(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    label = new_label()
    first = create(on_own_kms, label).reference
    on_own_kms.destroy_key(key=first)
    own_kms.kms.account.keyring.find(first.uri).deletion = datetime.now(UTC) + timedelta(minutes=30)
    with pytest.raises(Conflict, match="about to delete") as refused:
        create(on_own_kms, label)
    assert refused.value.retryable
    assert usable(own_kms, label) == []
    on_own_kms.cancel_destruction(key=first)
    assert create(on_own_kms, label).reference == first
    assert usable(own_kms, label) == [first.uri]


def test_own_kms_a_key_is_destroyed_and_called_off_again_and_again(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    label = new_label()
    key = create(on_own_kms, label).reference
    for _ in range(3):
        on_own_kms.destroy_key(key=key)
        on_own_kms.cancel_destruction(key=key)
        on_own_kms.cancel_destruction(key=key)  # which changes nothing
        assert on_own_kms.find_key(label=label) == key
    assert len(own_kms.kms.account.keyring.aliases) == 4
    on_own_kms.destroy_key(key=key)
    new = create(on_own_kms, label).reference
    with pytest.raises(KeyAlreadyExists):
        on_own_kms.cancel_destruction(key=key)
    let_pass(own_kms, 31)
    assert create(on_own_kms, label).reference == new
    assert usable(own_kms, label) == [new.uri]


def before(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, act: Callable[[], object]) -> None:
    """Do something once, just before a method is called."""
    method, due = getattr(target, name), [act]

    def act_first(*arguments: Any, **named: Any) -> Any:
        if due:
            due.pop()()
        return method(*arguments, **named)

    monkeypatch.setattr(target, name, act_first)


@pytest.mark.parametrize("moment", ["_called_off", "lead"])
def test_own_kms_a_key_that_is_made_while_a_destruction_is_called_off_wins(
    open_backend: Open, own_kms: Running, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The key is made by another process, which looked before the destruction was called off."""
    here, there, label = open_backend(own_kms.endpoint), open_backend(own_kms.endpoint), new_label()
    first = create(here, label).reference
    here.destroy_key(key=first)
    seen = there._trails.follow(label)
    looks = iter([seen])
    look = there._trails.follow
    monkeypatch.setattr(there._trails, "follow", lambda wanted, **named: next(looks, None) or look(wanted, **named))
    target = here._destruction if moment == "_called_off" else here._creation._aliases
    before(monkeypatch, target, moment, lambda: create(there, label))
    with pytest.raises(KeyAlreadyExists):
        here.cancel_destruction(key=first)
    (only,) = usable(own_kms, label)
    assert only != first.uri
    assert here.find_key(label=label).uri == there.find_key(label=label).uri == only


def test_own_kms_a_destruction_that_is_called_off_while_a_key_is_made_wins(
    open_backend: Open, own_kms: Running, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, label = open_backend(own_kms.endpoint), open_backend(own_kms.endpoint), new_label()
    first = create(here, label).reference
    here.destroy_key(key=first)
    before(monkeypatch, there._creation._aliases, "_set", lambda: here.cancel_destruction(key=first))
    with pytest.raises(KeyDisabled):  # it is the key of this label
        create(there, label)
    assert usable(own_kms, label) == [first.uri]
    assert there.find_key(label=label) == first


def test_own_kms_a_destruction_that_aws_does_not_call_off_now_is_not_taken_for_one_that_is(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label()).reference
    on_own_kms.destroy_key(key=key)
    own_kms.kms.fail("CancelKeyDeletion", KmsFailure("ConflictException"))
    with pytest.raises(Conflict):
        on_own_kms.cancel_destruction(key=key)
    assert usable(own_kms, key.label) == []
    on_own_kms.cancel_destruction(key=key)
    assert usable(own_kms, key.label) == [key.uri]


def test_own_kms_calling_off_that_was_cut_off_is_finished_by_the_next_call(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    """Between its two steps the process ended, and another one, which had looked before, made a key."""
    backend, label = open_backend(own_kms.endpoint), new_label()
    first = create(backend, label).reference
    backend.destroy_key(key=first)
    second = create(backend, label).reference
    cut_off = own_kms.kms.account.keyring.find(first.uri)
    cut_off.state, cut_off.deletion = "Disabled", None
    with pytest.raises(KeyAlreadyExists):
        backend.cancel_destruction(key=first)
    assert usable(own_kms, label) == [second.uri]


def test_own_kms_calling_off_and_making_at_once_leave_one_key(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    backends = [open_backend(own_kms.endpoint) for _ in range(6)]
    for _ in range(8):
        label = new_label()
        first = create(backends[0], label).reference
        backends[0].destroy_key(key=first)

        def make(backend: AwsBackend, label: KeyLabel = label) -> None:
            with suppress(KeyDisabled, KeyNotFound):  # that whose destruction was called off, for good or not
                create(backend, label)

        def call_off(backend: AwsBackend, key: KeyReference = first) -> None:
            with suppress(KeyAlreadyExists, Conflict):  # another key is there, or just was
                backend.cancel_destruction(key=key)

        with ThreadPoolExecutor(6) as pool:
            done = [pool.submit(make if at % 2 else call_off, backend) for at, backend in enumerate(backends)]
            for each in done:
                each.result()
        (only,) = usable(own_kms, label)
        assert {backend.find_key(label=label).uri for backend in backends} == {only}
