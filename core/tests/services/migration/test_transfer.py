"""One key is carried from one backend to another, whole, or not at all."""

from __future__ import annotations

import hashlib
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from keyclave import Keyclave
from keyclave.backends.backend import Backend
from keyclave.crypto.wrapping import wrap_key
from keyclave.errors import IntegrityError, InvalidArgument, KeyNotFound
from keyclave.models import SecurityLevel
from keyclave.plugin import CreatedKey, ImportTicket, WrappedKey
from keyclave.services.handles import to_reference
from keyclave.services.migration import transfer
from keyclave.services.migration.transfer import carry, wrapping_key_hash, wrapping_key_origin
from msgspec import structs
from pydantic import SecretBytes

from core.tests.services.conftest import Reopen
from tests.transfers import Move, require_signs

OTHER = '[backends.other]\nplugin = "software"\n'


@pytest.fixture
def two(reopen: Reopen) -> Keyclave:
    return reopen(OTHER)


@pytest.fixture
def move(two: Keyclave) -> Move:
    two.keys.create("moving", "ECDSA_P256", backend="software", wrappable=True)
    return Move(two, "moving", "other")


def require_nothing_lost(move: Move, ticket: ImportTicket) -> None:
    """Nothing arrived, and the source signs as before."""
    with pytest.raises(KeyNotFound):
        move.destination.find_key(ticket.request.label)
    reference = to_reference(move.key, move.version)
    created = CreatedKey(reference=reference, public_key=move.version.public_key, exportable=True, hsm_backed=False)
    require_signs(move.source, created, move.version.public_key)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "ML_DSA_65"])
def test_fr_012_a_key_arrives_as_the_key_that_it_was(two: Keyclave, algorithm: str) -> None:
    two.keys.create("moving", algorithm, backend="software", wrappable=True)
    move = Move(two, "moving", "other")
    moved = move.wrapped()
    assert moved.created.public_key == move.version.public_key
    assert not moved.created.exportable
    require_signs(move.destination, moved.created, move.version.public_key)


def test_fr_012_the_hash_is_of_the_wrapped_key_and_is_kept_before_it_is_imported(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_key = move.destination.import_key

    def seen(ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        assert move.kept == [hashlib.sha256(wrapped.blob).hexdigest()]
        return import_key(ticket, wrapped)

    monkeypatch.setattr(move.destination, "import_key", seen)
    assert move.carry(move.ticket()).integrity_hash == move.kept[0]


def test_a_hash_that_cannot_be_kept_stops_the_transfer(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    def unkept(_: str) -> None:
        raise IntegrityError("the disk is full")

    ticket = move.ticket()
    with pytest.raises(IntegrityError, match="disk is full"):
        carry(
            move.source,
            move.destination,
            to_reference(move.key, move.version),
            move.version.public_key,
            ticket,
            approved_origin=wrapping_key_origin(move.destination, move.algorithm, ticket.method),
            keep_hash=unkept,
        )
    require_nothing_lost(move, ticket)


def test_fr_012_a_blob_that_the_destination_alters_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    import_key = move.destination.import_key

    def altering(ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        blob = bytearray(wrapped.blob)
        blob[-1] ^= 1
        return import_key(ticket, structs.replace(wrapped, blob=bytes(blob)))

    ticket = move.ticket()
    monkeypatch.setattr(move.destination, "import_key", altering)
    with pytest.raises(InvalidArgument, match="unwrapped") as refused:
        move.carry(ticket)
    require_nothing_lost(move, ticket)
    require_no_blob(refused.value)


def test_fr_012_a_blob_that_changes_on_its_way_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    import_key = move.destination.import_key

    def changing(ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        made = import_key(ticket, wrapped)
        structs.force_setattr(wrapped, "blob", wrapped.blob[:-1])
        return made

    monkeypatch.setattr(move.destination, "import_key", changing)
    with pytest.raises(IntegrityError, match="changed on its way"):
        move.carry(move.ticket())


def require_no_blob(error: BaseException) -> None:
    """No frame behind an error holds the wrapped key: below the transfer there is none left."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    held = [value for frame in frames for value in frame.f_locals.values()]
    assert not any(isinstance(value, WrappedKey) for value in held)
    assert {frame.f_code.co_name for frame in frames if frame.f_code.co_filename == transfer.__file__} == {"carry"}


def another_key(move: Move, ticket: ImportTicket) -> WrappedKey:
    """Return another key of the same algorithm, wrapped for a ticket."""

    other = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = SecretBytes(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    return WrappedKey(method=ticket.method, blob=wrap_key(pkcs8, ticket.wrapping_public_key, ticket.method))


def test_fr_012_another_key_that_the_source_wraps_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = move.ticket()
    monkeypatch.setattr(move.source, "wrap_key", lambda *_: another_key(move, ticket))
    with pytest.raises(IntegrityError, match="that arrived has another public key"):
        move.carry(ticket)
    # What is there by then is the caller's to remove, by the label of the ticket.
    move.destination.destroy_key(move.destination.find_key(ticket.request.label))
    monkeypatch.undo()
    require_nothing_lost(move, ticket)


def test_fr_012_another_key_that_the_destination_imports_is_refused(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_key = move.destination.import_key
    ticket = move.ticket()

    def importing(given: ImportTicket, _: WrappedKey) -> CreatedKey:
        made = import_key(given, another_key(move, given))
        return structs.replace(made, public_key=move.version.public_key)  # and it lies

    monkeypatch.setattr(move.destination, "import_key", importing)
    with pytest.raises(IntegrityError, match="that it keeps has another public key"):
        move.carry(ticket)


def test_a_key_under_another_label_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    find_key = move.destination.find_key
    monkeypatch.setattr(
        move.destination, "find_key", lambda label: structs.replace(find_key(label), uri="software:" + "0" * 32)
    )
    with pytest.raises(IntegrityError, match="another key under the label"):
        move.carry(move.ticket())


def released(move: Move, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note what the source is asked to wrap."""
    asked: list[Any] = []
    monkeypatch.setattr(move.source, "wrap_key", lambda *arguments: asked.append(arguments))
    return asked


def test_fr_012_an_expired_ticket_is_refused_before_the_source_releases_anything(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = released(move, monkeypatch)
    expired = structs.replace(move.ticket(), expires_at=datetime.now(UTC))
    with pytest.raises(InvalidArgument, match="expired"):
        move.carry(expired)
    assert asked == []


def test_fr_012_a_ticket_is_used_once(move: Move) -> None:
    ticket = move.ticket()
    created = move.carry(ticket).created
    move.destination.destroy_key(created.reference)
    with pytest.raises(InvalidArgument, match="used"):
        move.carry(ticket)
    require_nothing_lost(move, ticket)


def test_fr_012_a_wrapping_key_of_another_origin_than_approved_is_refused(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = move.ticket()
    approved = wrapping_key_origin(move.destination, move.algorithm, ticket.method)
    asked = released(move, monkeypatch)
    described = move.destination.description
    changes: tuple[dict[str, Any], ...] = ({"connection_uri": "elsewhere:1"}, {"security_level": SecurityLevel.HSM})
    for change in changes:
        move.destination.description = structs.replace(described, **change)
        with pytest.raises(InvalidArgument, match="origin that was approved"):
            carry(
                move.source,
                move.destination,
                to_reference(move.key, move.version),
                move.version.public_key,
                ticket,
                approved_origin=approved,
                keep_hash=move.kept.append,
            )
    assert asked == move.kept == []


def test_each_ticket_has_a_wrapping_key_of_its_own_and_one_origin(move: Move) -> None:
    one, other = move.ticket(), move.ticket()
    assert wrapping_key_hash(one) == hashlib.sha256(one.wrapping_public_key).hexdigest()
    assert wrapping_key_hash(one) != wrapping_key_hash(other)
    origin = wrapping_key_origin(move.destination, move.algorithm, one.method)
    assert len(origin) == 64
    assert origin != wrapping_key_origin(move.source, move.algorithm, one.method)


@pytest.mark.parametrize("change", [{"method": "RSA_AES_KEY_WRAP_SHA1"}, {"wrapping_public_key": b""}])
def test_a_ticket_that_is_not_as_asked_for_is_refused(
    move: Move, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    begin_import = Backend.begin_import
    monkeypatch.setattr(
        Backend, "begin_import", lambda self, request: structs.replace(begin_import(self, request), **change)
    )
    with pytest.raises(IntegrityError) as refused:
        move.ticket()
    assert refused.value.backend_id == "other"
