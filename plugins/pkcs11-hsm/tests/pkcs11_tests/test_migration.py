"""Keys move between software and tokens, both ways, and none of them loses its way in between."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from keyclave.crypto.wrapping import generate_wrapping_key, unwrap_key, wrap_key
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    InvalidArgument,
    KeyAlreadyExists,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    ImportKeyRequest,
    WrappedKey,
)
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import NewLabel, Open, create, move, require_signatures
from pkcs11_tests.proxy import Proxy
from pydantic import SecretBytes

from tests.services.tokens import Token

pytestmark = pytest.mark.needs("softhsm")

MOVING = ["RSA_2048", "RSA_4096", "ECDSA_P256", "ECDSA_P384", "AES_256"]


@pytest.fixture
def token_backend(open_backend: Open, softhsm_token: Token) -> Pkcs11Backend:
    return open_backend(softhsm_token)


@pytest.mark.parametrize("algorithm", [*MOVING, "ED25519"])
def test_from_software_into_the_token(
    software: Any, token_backend: Pkcs11Backend, new_label: NewLabel, algorithm: str
) -> None:
    original = create(software, new_label(), algorithm, exportable=True)
    moved = move(software, token_backend, original.reference, new_label, exportable=False)
    assert moved.public_key == original.public_key
    assert not moved.exportable
    assert any("does not say that it made the key" in sentence for sentence in moved.evidence)
    if moved.public_key is not None:
        require_signatures(token_backend, moved.reference, moved.public_key)
    else:
        ciphertext = token_backend.encrypt(key=moved.reference, plaintext=b"data key", aad=b"").ciphertext
        plaintext = token_backend.decrypt(key=moved.reference, ciphertext=ciphertext, aad=b"").plaintext
        assert plaintext == b"data key"
    assert token_backend.find_key(label=moved.reference.label) == moved.reference


@pytest.mark.parametrize("algorithm", MOVING)
def test_from_the_token_into_software(
    software: Any, token_backend: Pkcs11Backend, new_label: NewLabel, algorithm: str
) -> None:
    original = create(token_backend, new_label(), algorithm, exportable=True)
    moved = move(token_backend, software, original.reference, new_label, exportable=True)
    assert moved.public_key == original.public_key
    assert software.public_key(key=moved.reference).spki == original.public_key if moved.public_key else True
    back = move(software, token_backend, moved.reference, new_label, exportable=False)
    assert back.public_key == original.public_key


@pytest.mark.parametrize("algorithm", MOVING)
def test_from_token_to_token(
    open_backend: Open, softhsm_tokens: dict[str, Token], new_label: NewLabel, algorithm: str
) -> None:
    one, other = open_backend(softhsm_tokens["main"]), open_backend(softhsm_tokens["other"])
    original = create(one, new_label(), algorithm, exportable=True)
    moved = move(one, other, original.reference, new_label, exportable=False)
    assert moved.public_key == original.public_key
    with pytest.raises(KeyNotFound):
        one.find_key(label=moved.reference.label)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "AES_256", "ED25519"])
def test_what_is_not_exportable_stays(token_backend: Pkcs11Backend, new_label: NewLabel, algorithm: str) -> None:
    key = create(token_backend, new_label(), algorithm).reference
    spki = generate_wrapping_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(CapabilityUnsupported, match="not exportable"):
        token_backend.wrap_key(key=key, wrapping_public_key=spki, method=RSA_AES_KEY_WRAP_SHA1)


def test_an_ed25519_key_cannot_leave_softhsm(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    key = create(token_backend, new_label(), "ED25519", exportable=True).reference
    spki = generate_wrapping_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(CapabilityUnsupported, match="does not release"):
        token_backend.wrap_key(key=key, wrapping_public_key=spki, method=RSA_AES_KEY_WRAP_SHA1)


def test_a_key_is_wrapped_under_good_keys_by_known_methods_only(
    token_backend: Pkcs11Backend, new_label: NewLabel
) -> None:
    key = create(token_backend, new_label(), "ECDSA_P256", exportable=True).reference
    good = generate_wrapping_key()
    spki = good.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    short = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(InvalidArgument, match="3072 bits"):
        token_backend.wrap_key(
            key=key,
            wrapping_public_key=short.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            method=RSA_AES_KEY_WRAP_SHA1,
        )
    with pytest.raises(CapabilityUnsupported, match="ROT_13"):
        token_backend.wrap_key(key=key, wrapping_public_key=spki, method="ROT_13")
    blob = token_backend.wrap_key(key=key, wrapping_public_key=spki, method=RSA_AES_KEY_WRAP_SHA1).blob
    assert unwrap_key(blob, good, RSA_AES_KEY_WRAP_SHA1)


def pkcs8(key: Any) -> bytes:
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(encoded, bytes)
    return encoded


P256 = pkcs8(ec.generate_private_key(ec.SECP256R1()))
WRONG: list[tuple[str, bytes]] = [
    ("ECDSA_P256", pkcs8(ec.generate_private_key(ec.SECP384R1()))),
    ("ECDSA_P384", P256),
    ("ECDSA_P256", pkcs8(rsa.generate_private_key(65537, 2048))),
    ("ECDSA_P256", pkcs8(ed25519.Ed25519PrivateKey.generate())),
    ("ECDSA_P256", b"no key at all"),
    ("ECDSA_P256", P256[:-9]),
    ("RSA_2048", pkcs8(rsa.generate_private_key(65537, 3072))),
    ("RSA_2048", P256),
    ("ED25519", P256),
    ("ED25519", bytes(32)),
    ("AES_256", bytes(16)),
    ("AES_256", bytes(24)),
    ("AES_256", bytes(31)),
    ("AES_256", bytes(40)),
    ("AES_256", P256),
]


@pytest.mark.parametrize(("algorithm", "secret"), WRONG, ids=map(str, range(len(WRONG))))
def test_a_wrong_key_is_refused_and_leaves_nothing(
    token_backend: Pkcs11Backend, new_label: NewLabel, algorithm: str, secret: bytes
) -> None:
    request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False)
    ticket = token_backend.begin_import(request=request)
    blob = wrap_key(SecretBytes(secret), ticket.wrapping_public_key, ticket.method)
    with pytest.raises(InvalidArgument, match=r"wrapped key|the key is of algorithm"):
        token_backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
    assert token_backend.list_keys(page=None).keys == ()


def test_a_malformed_blob_is_refused(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    for algorithm in ("ECDSA_P256", "ED25519"):
        for change in (
            lambda blob: b"",
            lambda blob: blob[:-8],
            lambda blob: bytes(len(blob)),
            lambda _: bytes(5000),
        ):
            request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False)
            ticket = token_backend.begin_import(request=request)
            blob = wrap_key(SecretBytes(P256), ticket.wrapping_public_key, ticket.method)
            with pytest.raises(InvalidArgument):
                token_backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=change(blob)))
            with pytest.raises(InvalidArgument, match="used"):
                token_backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
    assert token_backend.list_keys(page=None).keys == ()


def test_a_label_is_imported_once(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    created = create(token_backend, new_label(), "ECDSA_P256")
    request = ImportKeyRequest(label=created.reference.label, algorithm="ECDSA_P256", exportable=False)
    ticket = token_backend.begin_import(request=request)
    blob = wrap_key(SecretBytes(P256), ticket.wrapping_public_key, ticket.method)
    with pytest.raises(KeyAlreadyExists):
        token_backend.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
    assert token_backend.find_key(label=created.reference.label) == created.reference


def test_a_ticket_is_for_what_the_token_can(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    def request(algorithm: str, method: str | None = None) -> ImportKeyRequest:
        return ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False, method=method)

    assert token_backend.begin_import(request=request("ECDSA_P256")).method == RSA_AES_KEY_WRAP_SHA1
    assert token_backend.begin_import(request=request("ED25519")).method == RSA_AES_KEY_WRAP_SHA256
    for algorithm, method in (
        ("ECDSA_P256", RSA_AES_KEY_WRAP_SHA256),
        ("ECDSA_P256", "ROT_13"),
        ("ED25519", "ROT_13"),
        ("ML_DSA_65", None),
    ):
        with pytest.raises(CapabilityUnsupported):
            token_backend.begin_import(request=request(algorithm, method))


@pytest.mark.needs("nss")
def test_a_token_without_rfc5649_neither_imports_nor_exports(
    open_backend: Open, nss_token: Token, new_label: NewLabel
) -> None:
    backend = open_backend(nss_token)
    with pytest.raises(CapabilityUnsupported, match="RFC 5649"):
        backend.begin_import(request=ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False))
    key = create(backend, new_label(), "ECDSA_P256", exportable=True).reference
    spki = generate_wrapping_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(CapabilityUnsupported, match="RFC 5649"):
        backend.wrap_key(key=key, wrapping_public_key=spki, method=RSA_AES_KEY_WRAP_SHA256)


@pytest.mark.needs("cc")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("function", ["UnwrapKey", "CreateObject", "DeriveKey", "SignInit", "DestroyObject"])
def test_an_import_that_fails_leaves_nothing_or_a_whole_key(
    open_backend: Open, proxied: Token, proxy: Proxy, new_label: NewLabel, function: str
) -> None:
    backend = open_backend(proxied)
    for first in (1, 2, 3, 4):
        for code in (0x05, 0x32):
            request = ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False)
            ticket = backend.begin_import(request=request)
            blob = wrap_key(SecretBytes(P256), ticket.wrapping_public_key, ticket.method)
            proxy.reset()
            proxy.answer(function, code, first=first)
            wrapped = WrappedKey(method=ticket.method, blob=blob)
            with contextlib.suppress(InvalidArgument, BackendUnavailable, OutcomeUnknown):
                backend.import_key(ticket=ticket, wrapped=wrapped)
            proxy.reset()
            # Whatever was said of it: there is nothing, or a key that signs.
            for key in backend.list_keys(page=None).keys:
                require_signatures(backend, key, backend.public_key(key=key).spki)
                backend.destroy_key(key=key)
            with pytest.raises(KeyNotFound):
                backend.find_key(label=request.label)
