"""What happens on the way to KMS while a key is imported: no usable key, or the one that was imported.

Against the project's own KMS, through the fault proxy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_tests.faulty import Place, asks_for, place_before
from aws_tests.matrix import FAULTS
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from keyclave.errors import InvalidArgument, KeyAlreadyExists, KeyclaveError, KeyNotFound, OutcomeUnknown
from keyclave.plugin import CreatedKey, ImportKeyRequest, ImportTicket, KeyLabel, WrappedKey
from keyclave_aws.backend import AwsBackend

from tests.services.kms import server

PRIVATE = ec.generate_private_key(ec.SECP256R1())
SPKI = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with server.running() as own, place_before(own.port, tmp_path) as place:
        yield place


@pytest.fixture
def backend(place: Place) -> AwsBackend:
    return place.open()


def begin(backend: AwsBackend, label: KeyLabel) -> ImportTicket:
    return backend.begin_import(request=ImportKeyRequest(label=label, algorithm="ECDSA_P256", exportable=False))


def finish(backend: AwsBackend, ticket: ImportTicket) -> CreatedKey:
    wrapping_key, secret = load_der_public_key(ticket.wrapping_public_key), os.urandom(32)
    assert isinstance(wrapping_key, rsa.RSAPublicKey)
    wrapped = wrapping_key.encrypt(secret, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
    content = PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    blob = wrapped + keywrap.aes_key_wrap_with_padding(secret, content)
    return backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))


def require_import(place: Place, backend: AwsBackend, label: KeyLabel) -> None:
    """Import the key, and see that it is the only one that can be used."""
    created = finish(backend, begin(backend, label))
    assert created.public_key == SPKI
    assert backend.find_key(label=label) == created.reference
    assert [arn for arn in place.arns(label) if place.state(arn) == "Enabled"] == [created.reference.uri]


@pytest.mark.parametrize("target", ["CreateKey", "GetParametersForImport"])
@pytest.mark.parametrize("fault", ["lost before", "lost after", "ThrottlingException", "503"])
def test_a_ticket_that_does_not_come_leaves_no_key(
    place: Place, backend: AwsBackend, target: str, fault: str
) -> None:
    label, expected = place.label(), FAULTS[fault]
    place.proxy.arm(expected.fault, asks_for(target))
    with pytest.raises(KeyclaveError) as caught:
        begin(backend, label)
    assert place.proxy.disarm() == 0
    assert type(caught.value) is expected.error(changes=target == "CreateKey")
    assert {place.state(arn) for arn in place.arns(label)} <= {"PendingImport"}
    assert backend.list_keys(page=None).keys == ()
    with pytest.raises(KeyNotFound):
        place.open().find_key(label=label)
    assert place.arns(label) == []
    require_import(place, backend, label)


def test_an_empty_key_that_was_not_answered_for_is_ended_by_the_next_import(
    place: Place, backend: AwsBackend
) -> None:
    label = place.label()
    place.proxy.arm(FAULTS["lost after"].fault, asks_for("CreateKey"))
    with pytest.raises(OutcomeUnknown):
        begin(backend, label)
    (unanswered,) = place.arns(label)
    require_import(place, place.open(), label)
    assert place.state(unanswered) == "PendingDeletion"


def test_the_empty_key_of_a_process_that_ended_is_ended_by_a_look_for_it(place: Place, backend: AwsBackend) -> None:
    label, other = place.label(), place.label()
    ticket, kept = begin(backend, label), begin(backend, other)
    for each in (label, other):  # those of open tickets stay
        with pytest.raises(KeyNotFound):
            backend.find_key(label=each)
        assert [place.state(arn) for arn in place.arns(each)] == ["PendingImport"]
    with pytest.raises(KeyNotFound):
        place.open().find_key(label=label)
    assert place.arns(label) == []
    with pytest.raises(KeyNotFound):
        finish(backend, ticket)
    created = finish(backend, kept)
    assert backend.find_key(label=other) == created.reference


@pytest.mark.parametrize("fault", ["lost before", "truncated", "lost after", "ThrottlingException", "503"])
def test_material_that_is_not_answered_for_is_there_or_is_not(place: Place, backend: AwsBackend, fault: str) -> None:
    label, expected, arrives = place.label(), FAULTS[fault], fault in {"truncated", "lost after"}
    ticket = begin(backend, label)
    place.proxy.arm(expected.fault, asks_for("ImportKeyMaterial"))
    with pytest.raises(expected.changes):
        finish(backend, ticket)
    assert place.proxy.disarm() == 0
    with pytest.raises(InvalidArgument, match="ticket"):
        finish(backend, ticket)
    if not arrives:
        with pytest.raises(KeyNotFound):
            backend.find_key(label=label)
        assert place.arns(label) == []
    else:
        ticket = begin(backend, label)
        with pytest.raises(KeyAlreadyExists):
            finish(backend, ticket)
        found = place.open().find_key(label=label)
        assert place.arns(label) == [found.uri]
        assert backend.public_key(key=found).spki == SPKI
        backend.destroy_key(key=found)
    with pytest.raises(KeyNotFound):
        backend.find_key(label=label)
    require_import(place, backend, label)


def test_an_alias_that_is_not_answered_for_leads_to_the_imported_key(place: Place, backend: AwsBackend) -> None:
    label = place.label()
    ticket = begin(backend, label)
    place.proxy.arm(FAULTS["lost after"].fault, asks_for("CreateAlias"))
    with pytest.raises(OutcomeUnknown):
        finish(backend, ticket)
    found = backend.find_key(label=label)
    assert backend.public_key(key=found).spki == SPKI
    assert place.arns(label) == [found.uri]
