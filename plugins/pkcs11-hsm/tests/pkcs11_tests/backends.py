"""What tests do with backends and keys again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import CapabilityUnsupported
from keyclave.models import get_algorithm
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    CreatedKey,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyReference,
    SignatureEncoding,
    SigningInput,
)
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from msgspec.structs import replace

from tests.services.tokens import Token

__all__ = ["NewLabel", "Open", "create", "move", "require_signatures", "settings_of", "sign_and_verify"]

Open = Callable[..., Pkcs11Backend]
NewLabel = Callable[[], KeyLabel]


def settings_of(token: Token) -> dict[str, Any]:
    """Return the settings for a token; its module may be one that the tests compiled."""
    return {
        "module": token.module,
        "allowed_modules": (token.module.resolve(),),
        "module_parameters": token.parameters,
        "token": token.label,
        "pin_file": token.pin_file,
    }


def create(backend: Pkcs11Backend, label: KeyLabel, algorithm: str, *, exportable: bool = False) -> CreatedKey:
    return backend.create_key(request=CreateKeyRequest(label=label, algorithm=algorithm, exportable=exportable))


def sign_and_verify(backend: Pkcs11Backend, key: KeyReference, spki: bytes, scheme: str, message: bytes) -> bytes:
    """Sign a message, and let `cryptography` verify what the token made of it."""
    (support,) = (
        offered
        for algorithm in backend.describe().algorithms
        if algorithm.algorithm == key.algorithm
        for offered in algorithm.schemes
        if offered.scheme == scheme
    )
    data = bind_digest(scheme)(message) if support.input is SigningInput.DIGEST else message
    signature = backend.sign(key=key, data=data, scheme=scheme).signature
    if support.encoding is SignatureEncoding.P1363:
        signature = p1363_to_der(signature, get_algorithm(key.algorithm).key_size // 8)
    bind_verifier(load_public_key(spki), scheme)(message, signature)
    return signature


def require_signatures(backend: Pkcs11Backend, key: KeyReference, spki: bytes) -> None:
    """Sign with every scheme of a key."""
    for scheme in get_algorithm(key.algorithm).schemes:
        sign_and_verify(backend, key, spki, scheme, b"a message")


def move(source: Any, destination: Any, key: KeyReference, new_label: NewLabel, *, exportable: bool) -> CreatedKey:
    """Move a key as the core would: by the method that the destination prefers, or else by what the source can."""
    request = ImportKeyRequest(label=new_label(), algorithm=key.algorithm, exportable=exportable)
    ticket: ImportTicket = destination.begin_import(request=request)
    try:
        wrapped = source.wrap_key(key=key, wrapping_public_key=ticket.wrapping_public_key, method=ticket.method)
    except CapabilityUnsupported:
        other = RSA_AES_KEY_WRAP_SHA1 if ticket.method == RSA_AES_KEY_WRAP_SHA256 else RSA_AES_KEY_WRAP_SHA256
        ticket = destination.begin_import(request=replace(request, method=other))
        wrapped = source.wrap_key(key=key, wrapping_public_key=ticket.wrapping_public_key, method=other)
    created: CreatedKey = destination.import_key(ticket=ticket, wrapped=wrapped)
    return created
