"""Keys move from software and from SoftHSM into AWS KMS, whole and once, and never out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import keyclave_pkcs11_hsm.plugin
import keyclave_software.plugin
import pytest
from aws_tests.backends import NewLabel, Open, create, require_signatures
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from keyclave.crypto.wrapping import wrap_key
from keyclave.errors import (
    CapabilityUnsupported,
    IntegrityError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import EnvironmentType
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    BackendContext,
    CreatedKey,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyReference,
    WrappedKey,
)
from keyclave_aws.backend import AwsBackend
from msgspec.structs import replace
from pydantic import SecretBytes

from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running
from tests.services.tokens import Token

MOVING = ["RSA_2048", "RSA_4096", "ECDSA_P256", "ECDSA_P384"]
P256 = ec.generate_private_key(ec.SECP256R1())
P256_PKCS8 = SecretBytes(P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def opened(plugin: Any, settings: dict[str, Any], instance_id: UUID, directory: Path) -> Any:
    context = BackendContext(
        backend_id="source",
        instance_id=instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=directory,
    )
    return plugin.open_backend(plugin.settings_model()(**settings), context)


@pytest.fixture
def software(instance_id: UUID, tmp_path: Path) -> Iterator[Any]:
    backend = opened(keyclave_software.plugin, {}, instance_id, tmp_path / "software")
    yield backend
    backend.close()


@pytest.fixture
def token(softhsm_token: Token, instance_id: UUID, tmp_path: Path) -> Iterator[Any]:
    # For each test again: those of other packages, in the same process, have tokens of their own.
    os.environ.update(softhsm_token.environment)
    settings = {"module": softhsm_token.module, "token": softhsm_token.label, "pin_file": softhsm_token.pin_file}
    backend = opened(keyclave_pkcs11_hsm.plugin, settings, instance_id, tmp_path / "hsm")
    yield backend
    backend.close()


def move(source: Any, aws: AwsBackend, key: KeyReference, new_label: NewLabel, method: str | None) -> CreatedKey:
    request = ImportKeyRequest(label=new_label(), algorithm=key.algorithm, exportable=False, method=method)
    ticket = aws.begin_import(request=request)
    wrapped = source.wrap_key(key=key, wrapping_public_key=ticket.wrapping_public_key, method=ticket.method)
    return aws.import_key(ticket=ticket, wrapped=wrapped)


def require_moved(aws: AwsBackend, original: CreatedKey, moved: CreatedKey) -> None:
    assert moved.public_key == original.public_key
    assert moved.provider_reference
    assert not moved.hsm_backed
    assert "The key was imported (Origin EXTERNAL): a copy may exist elsewhere." in moved.evidence
    assert aws.find_key(label=moved.reference.label) == moved.reference
    assert aws.list_keys(page=None).keys == (moved.reference,)
    assert moved.public_key is not None
    require_signatures(aws, moved.reference, moved.public_key)


def source_key(source: Any, new_label: NewLabel, algorithm: str) -> CreatedKey:
    request = CreateKeyRequest(label=new_label(), algorithm=algorithm, exportable=True)
    created: CreatedKey = source.create_key(request=request)
    return created


@pytest.mark.needs("ministack")
@pytest.mark.parametrize("method", [None, RSA_AES_KEY_WRAP_SHA256, RSA_AES_KEY_WRAP_SHA1])
@pytest.mark.parametrize("algorithm", MOVING)
def test_from_software_into_aws(
    software: Any, on_ministack: AwsBackend, new_label: NewLabel, algorithm: str, method: str | None
) -> None:
    original = source_key(software, new_label, algorithm)
    require_moved(on_ministack, original, move(software, on_ministack, original.reference, new_label, method))


def moved_from_token(
    token: Any, aws: AwsBackend, new_label: NewLabel, algorithm: str
) -> tuple[CreatedKey, CreatedKey]:
    """Move a key whose PKCS#8 has a length that is a multiple of 8: SoftHSM 2.6 puts zero bytes after any other."""
    for _ in range(60):
        original = source_key(token, new_label, algorithm)
        try:
            return original, move(token, aws, original.reference, new_label, RSA_AES_KEY_WRAP_SHA1)
        except InvalidArgument:
            assert aws.list_keys(page=None).keys == ()
    raise AssertionError("no key had that length")


@pytest.mark.needs("ministack")
@pytest.mark.needs("softhsm")
@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P384"])
def test_from_softhsm_into_aws(token: Any, on_ministack: AwsBackend, new_label: NewLabel, algorithm: str) -> None:
    require_moved(on_ministack, *moved_from_token(token, on_ministack, new_label, algorithm))


@pytest.mark.needs("softhsm")
def test_own_kms_takes_a_key_of_softhsm(token: Any, on_own_kms: AwsBackend, new_label: NewLabel) -> None:
    require_moved(on_own_kms, *moved_from_token(token, on_own_kms, new_label, "ECDSA_P384"))


@pytest.mark.needs("ministack")
@pytest.mark.needs("softhsm")
def test_zero_bytes_after_a_key_of_softhsm_are_refused_and_leave_nothing(
    token: Any, on_ministack: AwsBackend, new_label: NewLabel
) -> None:
    original = source_key(token, new_label, "ECDSA_P256")  # 67 bytes, so it has five of them
    with pytest.raises(InvalidArgument):
        move(token, on_ministack, original.reference, new_label, RSA_AES_KEY_WRAP_SHA1)
    assert on_ministack.list_keys(page=None).keys == ()


@pytest.mark.parametrize("method", [RSA_AES_KEY_WRAP_SHA256, RSA_AES_KEY_WRAP_SHA1])
@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256"])
def test_own_kms_takes_both_methods(
    software: Any, on_own_kms: AwsBackend, new_label: NewLabel, algorithm: str, method: str
) -> None:
    original = source_key(software, new_label, algorithm)
    require_moved(on_own_kms, original, move(software, on_own_kms, original.reference, new_label, method))


def ticket_for(aws: AwsBackend, new_label: NewLabel, algorithm: str = "ECDSA_P256") -> ImportTicket:
    return aws.begin_import(request=ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False))


def wrapped_for(ticket: ImportTicket, key: SecretBytes = P256_PKCS8) -> WrappedKey:
    return WrappedKey(method=ticket.method, blob=wrap_key(key, ticket.wrapping_public_key, ticket.method))


def states(own_kms: Running) -> list[str]:
    return [key.state for key in own_kms.kms.account.keyring.keys.values()]


def test_own_kms_what_cannot_be_imported_is_refused_before_anything_is_sent(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    before = len(own_kms.kms.calls)
    for algorithm, exportable, method in (
        ("ED25519", False, None),
        ("ML_DSA_65", False, None),
        ("AES_256", False, None),
        ("RSA_2048", True, None),
        ("RSA_2048", False, "ROT_13"),
    ):
        request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=exportable, method=method)
        with pytest.raises(CapabilityUnsupported):
            on_own_kms.begin_import(request=request)
    assert len(own_kms.kms.calls) == before


def test_own_kms_a_ticket_imports_once(own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel) -> None:
    ticket = ticket_for(on_own_kms, new_label)
    with pytest.raises(KeyNotFound):
        on_own_kms.find_key(label=ticket.request.label)
    assert on_own_kms.list_keys(page=None).keys == ()
    moved = on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    assert moved.public_key == P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="ticket"):
            on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    assert states(own_kms) == ["Enabled"]
    (filled,) = [call.request for call in own_kms.kms.calls if call.operation == "ImportKeyMaterial"]
    assert filled["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"


def other_curve() -> SecretBytes:
    key = ec.generate_private_key(ec.SECP384R1())
    return SecretBytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def other_kind() -> SecretBytes:
    key = rsa.generate_private_key(65537, 2048)
    return SecretBytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize("key", [other_curve(), other_kind(), SecretBytes(b"no key at all")], ids=str)
def test_own_kms_a_key_of_another_kind_is_refused_and_nothing_is_left(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, key: SecretBytes
) -> None:
    ticket = ticket_for(on_own_kms, new_label)
    with pytest.raises(InvalidArgument):
        on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket, key))
    assert states(own_kms) == ["PendingDeletion"]
    with pytest.raises(InvalidArgument, match="ticket"):
        on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))


def test_own_kms_a_changed_blob_or_ticket_is_refused(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    changes: tuple[Callable[[ImportTicket, WrappedKey], tuple[ImportTicket, WrappedKey]], ...] = (
        lambda ticket, blob: (ticket, replace(blob, blob=blob.blob[:-1] + bytes([blob.blob[-1] ^ 1]))),
        lambda ticket, blob: (ticket, replace(blob, blob=b"")),
        lambda ticket, blob: (ticket, replace(blob, blob=bytes(7000))),
        lambda ticket, blob: (ticket, replace(blob, method=RSA_AES_KEY_WRAP_SHA1)),
        lambda ticket, blob: (replace(ticket, expires_at=ticket.expires_at + timedelta(days=1)), blob),
        lambda ticket, blob: (replace(ticket, request=replace(ticket.request, label=new_label())), blob),
        lambda ticket, blob: (replace(ticket, ticket_id="unknown"), blob),
    )
    for change in changes:
        ticket = ticket_for(on_own_kms, new_label)
        changed, wrapped = change(ticket, wrapped_for(ticket))
        with pytest.raises(InvalidArgument):
            on_own_kms.import_key(ticket=changed, wrapped=wrapped)
    assert on_own_kms.list_keys(page=None).keys == ()
    assert states(own_kms) == ["PendingDeletion"] * 6 + ["PendingImport"]


def test_own_kms_a_ticket_expires_when_aws_says_so(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    own_kms.kms.account.clock = lambda: datetime.now(UTC) - timedelta(days=2)
    ticket = ticket_for(on_own_kms, new_label)
    with pytest.raises(InvalidArgument, match="expired"):
        on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    own_kms.kms.account.clock = lambda: datetime.now(UTC)
    fresh = ticket_for(on_own_kms, new_label)
    own_kms.kms.account.clock = lambda: datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(InvalidArgument, match="ExpiredImportTokenException"):
        on_own_kms.import_key(ticket=fresh, wrapped=wrapped_for(fresh))


def test_own_kms_nothing_is_imported_over_a_key_that_exists(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    existing = create(on_own_kms, new_label())
    request = ImportKeyRequest(label=existing.reference.label, algorithm="ECDSA_P256", exportable=False)
    ticket = on_own_kms.begin_import(request=request)
    with pytest.raises(KeyAlreadyExists):
        on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    assert on_own_kms.find_key(label=existing.reference.label) == existing.reference
    assert states(own_kms) == ["Enabled", "PendingDeletion"]


def test_own_kms_an_imported_key_is_not_taken_for_one_that_was_asked_for(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    """Whoever may make keys with the tags of another one knows the private key of what he imports."""
    label = new_label()
    ticket = on_own_kms.begin_import(request=ImportKeyRequest(label=label, algorithm="ECDSA_P256", exportable=False))
    on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    with pytest.raises(IntegrityError, match="not made by AWS"):
        create(on_own_kms, label)
    assert states(own_kms) == ["Enabled"]


def test_own_kms_an_import_without_answer_is_unknown_and_found_later(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    ticket = ticket_for(on_own_kms, new_label)
    own_kms.kms.fail("ImportKeyMaterial", KmsFailure("KMSInternalException"))
    with pytest.raises(OutcomeUnknown):
        on_own_kms.import_key(ticket=ticket, wrapped=wrapped_for(ticket))
    assert states(own_kms) == ["PendingImport"]
    with pytest.raises(KeyNotFound):
        on_own_kms.find_key(label=ticket.request.label)


def test_own_kms_tickets_that_are_left_leave_no_key(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    backend = open_backend(own_kms.endpoint)
    ticket_for(backend, new_label)
    own_kms.kms.fail("GetParametersForImport", KmsFailure("KMSInternalException"))
    with pytest.raises(Exception, match="KMSInternalException"):
        ticket_for(backend, new_label)
    backend.close()
    assert states(own_kms) == ["PendingDeletion"] * 2
