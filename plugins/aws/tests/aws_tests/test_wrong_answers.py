"""Answers that belong to other requests, and requests that arrive twice: nothing wrong is returned or destroyed.

Against the project's own KMS, through the fault proxy. TLS keeps others from doing this on the way to AWS; a
proxy that ends TLS, or a mistake in a client's connection pool, may do it all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aws_tests.faulty import Place, asks_for, place_before
from aws_tests.matrix import DIGEST, OPERATIONS, Operation
from keyclave.errors import BackendUnavailable, IntegrityError, OutcomeUnknown
from keyclave.plugin import CreatedKey
from keyclave_aws.backend import AwsBackend

from tests.services import faults
from tests.services.exchanges import Answer
from tests.services.faults import Fault
from tests.services.kms import server

Use = Callable[[CreatedKey], object]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with server.running() as own, place_before(own.port, tmp_path) as place:
        yield place


@pytest.fixture
def backend(place: Place) -> AwsBackend:
    return place.open()


def last_answer(place: Place, target: str) -> Answer:
    chosen = asks_for(target)
    return [exchange for exchange in place.proxy.exchanges if chosen(exchange.request)][-1].answers[0]


def test_an_answer_for_another_key_is_refused(place: Place, backend: AwsBackend) -> None:
    one, other = (place.create(backend) for _ in range(2))
    secret, another_secret = (place.create(backend, algorithm="AES_256") for _ in range(2))
    ciphertexts = {
        key.reference.uri: backend.encrypt(key=key.reference, plaintext=b"secret", aad=b"").ciphertext
        for key in (secret, another_secret)
    }
    uses: dict[str, tuple[Use, CreatedKey, CreatedKey]] = {
        "Sign": (lambda key: backend.sign(key=key.reference, data=DIGEST, scheme="ECDSA_SHA256"), one, other),
        "GetPublicKey": (lambda key: backend.public_key(key=key.reference), one, other),
        "Encrypt": (
            lambda key: backend.encrypt(key=key.reference, plaintext=b"secret", aad=b""),
            secret,
            another_secret,
        ),
        "Decrypt": (
            lambda key: backend.decrypt(key=key.reference, ciphertext=ciphertexts[key.reference.uri], aad=b""),
            secret,
            another_secret,
        ),
    }
    for target, (use, right, wrong) in uses.items():
        use(wrong)
        place.proxy.arm(faults.misanswered(last_answer(place, target)), asks_for(target))
        with pytest.raises(IntegrityError, match="another key"):
            use(right)
        assert place.proxy.disarm() == 0
        use(right)


def test_two_calls_that_get_each_others_answers_both_fail(place: Place, backend: AwsBackend) -> None:
    keys = [place.create(backend) for _ in range(2)]
    place.proxy.arm(faults.Swapped(), asks_for("Sign"), times=2)

    def sign(key: CreatedKey) -> object:
        with pytest.raises(IntegrityError) as caught:
            backend.sign(key=key.reference, data=DIGEST, scheme="ECDSA_SHA256")
        return caught.value

    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(sign, keys))) == 2
    assert place.proxy.disarm() == 0


_ID = {"x-amzn-RequestId": "5b3f2c1e-0000-4000-8000-000000000000"}
NO_ANSWERS: Mapping[str, Fault] = {
    "empty": faults.answered(200),
    "another status": faults.answered(204, b"", _ID),
    "a page": faults.answered(200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
    "a page with an id": faults.answered(200, b"<html>Log in</html>", _ID),
    "a list": faults.answered(200, b"[]", _ID),
    "deep": faults.answered(200, b"[" * 100_000, _ID),
    "a redirection": faults.answered(307, b"", {"Location": "http://127.0.0.1:9/", **_ID}),
}
"""What comes in place of an answer."""


def require_refusals(place: Place, operation: Operation, answers: Iterable[Fault]) -> None:
    """Put each answer in place of that of KMS: the call fails, and the next one does what is left to do."""
    backend = place.open()
    for answer in answers:
        prepared = operation.prepare(place, backend)
        place.proxy.arm(answer, asks_for(operation.target))
        with pytest.raises(OutcomeUnknown if operation.changes else BackendUnavailable):
            operation.act(place, backend, prepared)
        assert place.proxy.disarm() == 0
        operation.act(place, backend, prepared)
        operation.check(place, prepared)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_no_answer_of_kms_is_none(place: Place, name: str) -> None:
    """Also where the answer says nothing, as that to DisableKey: not every 200 comes from KMS."""
    require_refusals(place, OPERATIONS[name], NO_ANSWERS.values())


SAY_NOTHING = {"CreateAlias", "EnableKey", "DisableKey"}
"""Operations whose answer is empty: what is in it is not looked at."""
WRONG_ANSWERS: Mapping[str, Fault] = {
    name: faults.answered(200, json.dumps(content).encode(), _ID)
    for name, content in {
        "nothing of it": {"Unheard": "of"},
        "a date too late": {"KeyMetadata": {"CreationDate": 1e308}},
        "a date that overflows": {"KeyMetadata": {"CreationDate": "9999-12-31T23:59:59-23:00"}},
        "no number": {"KeyMetadata": {"CreationDate": float("nan")}},
    }.items()
}


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if each.target not in SAY_NOTHING])
def test_an_answer_without_what_was_asked_for_is_none(place: Place, name: str) -> None:
    require_refusals(place, OPERATIONS[name], WRONG_ANSWERS.values())


def test_a_new_key_is_not_taken_for_another_one(place: Place, backend: AwsBackend) -> None:
    first = place.create(backend)
    label = place.label()
    place.proxy.arm(faults.misanswered(last_answer(place, "CreateKey")), asks_for("CreateKey"))
    with pytest.raises(OutcomeUnknown):
        place.create(backend, label)
    second = place.create(backend, label)
    assert second.reference.uri != first.reference.uri
    assert place.arns(label) == [second.reference.uri]
    assert backend.find_key(label=first.reference.label) == first.reference


def test_an_alias_that_leads_elsewhere_leads_nobody_astray(place: Place, backend: AwsBackend) -> None:
    one, other = (place.create(backend) for _ in range(2))
    backend.find_key(label=other.reference.label)
    for target in ("DescribeKey", "ListResourceTags"):
        place.proxy.arm(faults.misanswered(last_answer(place, target)), asks_for(target))
        assert backend.find_key(label=one.reference.label) == one.reference
        assert place.proxy.disarm() == 0
        backend.find_key(label=other.reference.label)


def test_a_key_that_was_found_by_the_tags_of_another_one_is_not_destroyed(place: Place, backend: AwsBackend) -> None:
    one, other = (place.create(backend) for _ in range(2))
    backend.find_key(label=other.reference.label)
    tags_of_other = last_answer(place, "ListResourceTags")
    place.forget_aliases()
    place.proxy.arm(faults.misanswered(tags_of_other), asks_for("ListResourceTags"))
    wrong = backend.find_key(label=other.reference.label)
    assert wrong.uri == one.reference.uri  # the answer does not say whose tags they are
    with pytest.raises(IntegrityError, match="does not have this label"):
        backend.destroy_key(key=wrong)
    assert place.state(one.reference.uri) == "Enabled"


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "create"])
def test_a_request_that_arrives_twice_is_done_once(place: Place, name: str) -> None:
    operation, backend = OPERATIONS[name], place.open()
    prepared = operation.prepare(place, backend)
    place.proxy.arm(faults.duplicated, asks_for(operation.target))
    first = operation.act(place, backend, prepared)
    assert place.proxy.disarm() == 0
    operation.check(place, prepared)
    assert operation.act(place, backend, prepared) == first
    operation.check(place, prepared)


def test_a_key_that_was_made_twice_is_seen(place: Place, backend: AwsBackend) -> None:
    """KMS has no way to tell a repeated CreateKey from a new one: the second key can be found, and never signs."""
    place.proxy.arm(faults.duplicated, asks_for("CreateKey"))
    created = place.create(backend)
    label = created.reference.label
    assert len(place.arns(label)) == 2
    assert place.create(backend, label).reference == created.reference == backend.find_key(label=label)
    listed = backend.list_keys(page=None).keys
    assert {key.uri for key in listed} == set(place.arns(label))
