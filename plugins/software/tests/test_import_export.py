"""Keys that come in wrapped and go out wrapped; what is wrong stays outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
)
from keyclave.crypto.wrapping import unwrap_key, wrap_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyAlreadyExists
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    ImportKeyRequest,
    WrappedKey,
)
from keyclave_software import tickets as tickets_module
from keyclave_software.backend import SoftwareBackend
from keyclave_software.tickets import Tickets
from msgspec.structs import replace
from pydantic import SecretBytes

from plugins.software.tests.conftest import Begin, NewKey, NewLabel
from plugins.software.tests.wrapped import is_empty, pkcs8, spki, unwrap, wrap


@pytest.fixture
def private_keys(rsa_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {
        "RSA_2048": rsa_key,
        "ECDSA_P256": ec.generate_private_key(ec.SECP256R1()),
        "ECDSA_P384": ec.generate_private_key(ec.SECP384R1()),
        "ED25519": ed25519.Ed25519PrivateKey.generate(),
        "ML_DSA_65": mldsa.MLDSA65PrivateKey.generate(),
    }


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "ML_DSA_65"])
def test_a_private_key_goes_in_and_out(
    backend: SoftwareBackend,
    begin: Begin,
    private_keys: dict[str, Any],
    wrapping_key: rsa.RSAPrivateKey,
    algorithm: str,
) -> None:
    ticket = begin(algorithm, exportable=True)
    created = backend.import_key(ticket=ticket, wrapped=wrap(ticket, pkcs8(private_keys[algorithm])))
    assert created.public_key == spki(private_keys[algorithm])
    assert created.reference == backend.find_key(label=ticket.request.label)
    wrapped = backend.wrap_key(
        key=created.reference, wrapping_public_key=spki(wrapping_key), method=RSA_AES_KEY_WRAP_SHA256
    )
    returned = load_der_private_key(unwrap(wrapped, wrapping_key), None)
    assert spki(returned) == created.public_key


def test_a_secret_key_goes_in_and_out(
    backend: SoftwareBackend, begin: Begin, wrapping_key: rsa.RSAPrivateKey
) -> None:
    secret = AESGCM.generate_key(256)
    ticket = begin("AES_256", exportable=True)
    created = backend.import_key(ticket=ticket, wrapped=wrap(ticket, secret))
    wrapped = backend.wrap_key(
        key=created.reference, wrapping_public_key=spki(wrapping_key), method=RSA_AES_KEY_WRAP_SHA256
    )
    assert unwrap(wrapped, wrapping_key) == secret
    ciphertext = backend.encrypt(key=created.reference, plaintext=b"data key", aad=b"context").ciphertext
    assert AESGCM(secret).decrypt(ciphertext[1:13], ciphertext[13:], b"context") == b"data key"


def test_a_key_comes_and_goes_with_sha1_where_the_other_side_has_no_other(
    backend: SoftwareBackend, new_label: NewLabel, one_wrapping_key: None, wrapping_key: rsa.RSAPrivateKey
) -> None:
    request = ImportKeyRequest(label=new_label(), algorithm="ED25519", exportable=True, method=RSA_AES_KEY_WRAP_SHA1)
    ticket = backend.begin_import(request=request)
    assert ticket.method == RSA_AES_KEY_WRAP_SHA1
    private_key = ed25519.Ed25519PrivateKey.generate()
    blob = wrap_key(SecretBytes(pkcs8(private_key)), ticket.wrapping_public_key, ticket.method)
    created = backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
    assert created.public_key == spki(private_key)
    wrapped = backend.wrap_key(
        key=created.reference, wrapping_public_key=spki(wrapping_key), method=RSA_AES_KEY_WRAP_SHA1
    )
    returned = unwrap_key(wrapped.blob, wrapping_key, RSA_AES_KEY_WRAP_SHA1)
    assert returned.get_secret_value() == pkcs8(private_key)


def test_a_ticket_for_an_unknown_method_is_refused(backend: SoftwareBackend, new_label: NewLabel) -> None:
    with pytest.raises(CapabilityUnsupported, match="ROT_13"):
        backend.begin_import(
            request=ImportKeyRequest(label=new_label(), algorithm="ED25519", exportable=False, method="ROT_13")
        )


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256"])
def test_zeros_after_a_private_key_are_not_stored(
    backend: SoftwareBackend, begin: Begin, private_keys: dict[str, Any], algorithm: str
) -> None:
    ticket = begin(algorithm)
    padded = pkcs8(private_keys[algorithm])
    created = backend.import_key(ticket=ticket, wrapped=wrap(ticket, padded + bytes(-len(padded) % 8)))
    assert created.public_key == spki(private_keys[algorithm])


@pytest.mark.parametrize("algorithm", ["ED25519", "AES_256"])
def test_a_key_that_is_not_exportable_stays(
    backend: SoftwareBackend, new_key: NewKey, wrapping_spki: bytes, algorithm: str
) -> None:
    key = new_key(algorithm, exportable=False).reference
    with pytest.raises(CapabilityUnsupported, match="not exportable"):
        backend.wrap_key(key=key, wrapping_public_key=wrapping_spki, method=RSA_AES_KEY_WRAP_SHA256)


def test_an_imported_key_that_is_not_exportable_stays(
    backend: SoftwareBackend, begin: Begin, private_keys: dict[str, Any], wrapping_spki: bytes
) -> None:
    ticket = begin("ED25519", exportable=False)
    created = backend.import_key(ticket=ticket, wrapped=wrap(ticket, pkcs8(private_keys["ED25519"])))
    with pytest.raises(CapabilityUnsupported, match="not exportable"):
        backend.wrap_key(key=created.reference, wrapping_public_key=wrapping_spki, method=RSA_AES_KEY_WRAP_SHA256)


def test_a_key_is_not_wrapped_by_an_unknown_method_or_a_weak_key(
    backend: SoftwareBackend, new_key: NewKey, rsa_key: rsa.RSAPrivateKey, wrapping_spki: bytes
) -> None:
    key = new_key(exportable=True).reference
    with pytest.raises(CapabilityUnsupported):
        backend.wrap_key(key=key, wrapping_public_key=wrapping_spki, method="ROT_13")
    with pytest.raises(InvalidArgument, match="3072 bits"):
        backend.wrap_key(key=key, wrapping_public_key=spki(rsa_key), method=RSA_AES_KEY_WRAP_SHA256)
    with pytest.raises(InvalidArgument):
        backend.wrap_key(key=key, wrapping_public_key=b"", method=RSA_AES_KEY_WRAP_SHA256)


def test_a_ticket_names_a_fresh_key(backend: SoftwareBackend, new_label: NewLabel) -> None:
    request = ImportKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    one, other = backend.begin_import(request=request), backend.begin_import(request=request)
    assert one.ticket_id != other.ticket_id
    assert one.wrapping_public_key != other.wrapping_public_key
    wrapping_key = load_der_public_key(one.wrapping_public_key)
    assert isinstance(wrapping_key, rsa.RSAPublicKey)
    assert wrapping_key.key_size == 3072
    assert timedelta(minutes=14) < one.expires_at - datetime.now(UTC) <= timedelta(minutes=15)


def test_an_unknown_algorithm_gets_no_ticket(begin: Begin) -> None:
    with pytest.raises(InvalidArgument, match="unknown algorithm"):
        begin("ROT_13")


def mutations(blob: bytes) -> Iterator[bytes]:
    """Cut at every byte, changed in every byte, too long, and something else."""
    for n in range(len(blob)):
        yield blob[:n]
        yield blob[:n] + bytes([blob[n] ^ 1 << n % 8]) + blob[n + 1 :]
    yield from (blob + bytes(8), b"\0" + blob, blob + blob, bytes(len(blob)), bytes(4096))


def test_every_malformed_blob_is_refused_and_leaves_nothing(
    backend: SoftwareBackend, begin: Begin, data_directory: Path
) -> None:
    good = wrap(begin("AES_256"), AESGCM.generate_key(256))
    for bad in mutations(good.blob):
        ticket = begin("AES_256")
        with pytest.raises(InvalidArgument, match="cannot be unwrapped"):
            backend.import_key(ticket=ticket, wrapped=WrappedKey(method=good.method, blob=bad))
    assert is_empty(backend, data_directory)
    ticket = begin("AES_256")
    backend.import_key(ticket=ticket, wrapped=good)


def test_a_blob_that_is_too_long_is_refused_unread(
    backend: SoftwareBackend, begin: Begin, data_directory: Path
) -> None:
    ticket = begin("AES_256")
    with pytest.raises(InvalidArgument, match="more than 4096 bytes"):
        backend.import_key(ticket=ticket, wrapped=WrappedKey(method=RSA_AES_KEY_WRAP_SHA256, blob=bytes(4097)))
    assert is_empty(backend, data_directory)


def test_another_method_is_refused(backend: SoftwareBackend, begin: Begin, data_directory: Path) -> None:
    ticket = begin("AES_256")
    wrapped = replace(wrap(ticket, AESGCM.generate_key(256)), method="RSA_AES_KEY_WRAP_SHA1")
    with pytest.raises(InvalidArgument):
        backend.import_key(ticket=ticket, wrapped=wrapped)
    assert is_empty(backend, data_directory)


def test_a_ticket_is_good_for_one_attempt(backend: SoftwareBackend, begin: Begin) -> None:
    ticket = begin("AES_256")
    wrapped = wrap(ticket, AESGCM.generate_key(256))
    with pytest.raises(InvalidArgument, match="cannot be unwrapped"):
        backend.import_key(ticket=ticket, wrapped=WrappedKey(method=wrapped.method, blob=b""))
    with pytest.raises(InvalidArgument, match="used"):
        backend.import_key(ticket=ticket, wrapped=wrapped)


def test_a_ticket_ends_when_its_backend_is_closed(backend: SoftwareBackend, begin: Begin) -> None:
    ticket = begin("AES_256")
    backend.close()
    with pytest.raises(InvalidArgument, match="unknown"):
        backend.import_key(ticket=ticket, wrapped=wrap(ticket, AESGCM.generate_key(256)))


def test_a_changed_ticket_is_refused(backend: SoftwareBackend, begin: Begin, data_directory: Path) -> None:
    ticket = begin("AES_256", exportable=False)
    wrapped = wrap(ticket, AESGCM.generate_key(256))
    changed = replace(ticket, request=replace(ticket.request, exportable=True))
    for wrong in (changed, ticket):
        with pytest.raises(InvalidArgument, match="ticket"):
            backend.import_key(ticket=wrong, wrapped=wrapped)
    assert is_empty(backend, data_directory)


def test_a_ticket_of_another_backend_is_refused(
    backend: SoftwareBackend, open_backend: Callable[[], SoftwareBackend], begin: Begin
) -> None:
    ticket = begin("AES_256")
    with pytest.raises(InvalidArgument, match="unknown"):
        open_backend().import_key(ticket=ticket, wrapped=wrap(ticket, AESGCM.generate_key(256)))


def test_an_expired_ticket_is_refused(new_label: NewLabel, one_wrapping_key: None) -> None:
    request = ImportKeyRequest(label=new_label(), algorithm="AES_256", exportable=False)
    expired = Tickets(lifetime=timedelta(0))
    with pytest.raises(InvalidArgument, match="expired"):
        expired.take(expired.issue(request))
    good = Tickets()
    good.take(good.issue(request))


def test_the_oldest_of_too_many_tickets_ends(
    new_label: NewLabel, one_wrapping_key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets_module, "OPEN_TICKETS", 2)
    request = ImportKeyRequest(label=new_label(), algorithm="AES_256", exportable=False)
    tickets = Tickets()
    issued = [tickets.issue(request) for _ in range(3)]
    with pytest.raises(InvalidArgument, match="unknown"):
        tickets.take(issued[0])
    tickets.take(issued[1])
    tickets.take(issued[2])


def test_a_label_that_is_taken_keeps_its_key(backend: SoftwareBackend, new_key: NewKey) -> None:
    created = new_key("ED25519")
    ticket = backend.begin_import(
        request=ImportKeyRequest(label=created.reference.label, algorithm="ED25519", exportable=False)
    )
    with pytest.raises(KeyAlreadyExists):
        backend.import_key(ticket=ticket, wrapped=wrap(ticket, pkcs8(ed25519.Ed25519PrivateKey.generate())))
    assert backend.public_key(key=created.reference).spki == created.public_key


@pytest.mark.parametrize(
    "case",
    [
        ("ECDSA_P256", "ECDSA_P384"),
        ("ECDSA_P384", "ECDSA_P256"),
        ("RSA_3072", "RSA_2048"),
        ("ED25519", "ECDSA_P256"),
        ("ML_DSA_65", "ED25519"),
        ("AES_256", "ED25519"),
    ],
)
def test_a_key_of_another_algorithm_is_refused(
    backend: SoftwareBackend,
    begin: Begin,
    private_keys: dict[str, Any],
    data_directory: Path,
    case: tuple[str, str],
) -> None:
    algorithm, content = case
    ticket = begin(algorithm)
    with pytest.raises(InvalidArgument):
        backend.import_key(ticket=ticket, wrapped=wrap(ticket, pkcs8(private_keys[content])))
    assert is_empty(backend, data_directory)


def test_bytes_that_are_no_key_are_refused(backend: SoftwareBackend, begin: Begin, data_directory: Path) -> None:
    cases = [("ED25519", bytes(40)), ("RSA_2048", b"-----BEGIN PRIVATE KEY-----")]
    cases += [("AES_256", bytes(n)) for n in (16, 24, 31, 33)]
    for algorithm, content in cases:
        ticket = begin(algorithm)
        with pytest.raises(InvalidArgument):
            backend.import_key(ticket=ticket, wrapped=wrap(ticket, content))
    assert is_empty(backend, data_directory)
