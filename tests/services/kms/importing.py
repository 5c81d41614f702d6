"""Operations that bring key material in: wrapped for a key of the service, with a token that says for which key."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import Import, Key
from tests.services.kms.specs import SPECS

__all__ = ["OPERATIONS"]

_VALID = timedelta(hours=24)
_WRAPPED_KEYS = ("RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
_HASHES: dict[str, hashes.HashAlgorithm] = {"SHA_1": hashes.SHA1(), "SHA_256": hashes.SHA256()}


def get_parameters_for_import(account: Account, request: Request) -> Answer:
    """Hand out a wrapping key and a token that are valid for a day."""
    key, algorithm = _external(account, request), request["WrappingAlgorithm"]
    if algorithm not in {*_WRAPPED_KEYS, "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}:
        raise KmsFailure("UnsupportedOperationException", f"{algorithm} is not supported")
    if key.spec_name.startswith("RSA") and algorithm not in _WRAPPED_KEYS:
        raise KmsFailure("UnsupportedOperationException", f"{algorithm} cannot wrap an RSA private key")
    bits = int(request["WrappingKeySpec"].removeprefix("RSA_"))
    ticket = Import(rsa.generate_private_key(65537, bits), algorithm, os.urandom(128), account.clock() + _VALID)
    key.tickets.append(ticket)
    return {
        "KeyId": key.arn,
        "ImportToken": ticket.token,
        "PublicKey": ticket.wrapping_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "ParametersValidTo": ticket.valid_to,
    }


def import_key_material(account: Account, request: Request) -> Answer:
    """Give a key the material; once it has some, only the same again."""
    key = _external(account, request)
    ticket = next((ticket for ticket in key.tickets if ticket.token == request["ImportToken"]), None)
    if ticket is None:
        raise KmsFailure("InvalidImportTokenException")
    if ticket.valid_to <= account.clock():
        raise KmsFailure("ExpiredImportTokenException")
    if request.get("ExpirationModel") != "KEY_MATERIAL_DOES_NOT_EXPIRE":
        raise KmsFailure("ValidationException", "Only material that does not expire is kept here")
    material = _material(key, _unwrap(ticket, request["EncryptedKeyMaterial"]))
    if key.material is not None and not _same(key.material, material):
        raise KmsFailure("IncorrectKeyMaterialException", "It is not the material that was imported before")
    key.material = material
    key.state = "Enabled" if key.state == "PendingImport" else key.state
    return {"KeyId": key.arn}


def _external(account: Account, request: Request) -> Key:
    key = account.keyring.named(request["KeyId"])
    if key.origin != "EXTERNAL":
        raise KmsFailure(
            "UnsupportedOperationException", f"{key.arn} origin is {key.origin}, which is not valid here."
        )
    key.check_not_pending_deletion()
    return key


def _unwrap(ticket: Import, wrapped: bytes) -> bytes:
    digest = _HASHES[ticket.algorithm[ticket.algorithm.index("SHA_") :]]
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    size = ticket.wrapping_key.key_size // 8
    try:
        secret: bytes = ticket.wrapping_key.decrypt(wrapped[:size], oaep)
        return aes_key_unwrap_with_padding(secret, wrapped[size:]) if ticket.algorithm in _WRAPPED_KEYS else secret
    except (ValueError, InvalidUnwrap):
        raise KmsFailure("InvalidCiphertextException") from None


def _material(key: Key, content: bytes) -> Any:
    """Return the material that was wrapped, if it is of the key's spec."""
    if key.spec.secret_bytes is not None:
        if len(content) != key.spec.secret_bytes:
            raise KmsFailure("IncorrectKeyMaterialException", f"{key.spec_name} has {key.spec.secret_bytes} bytes")
        return content
    try:
        private = load_der_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KmsFailure("IncorrectKeyMaterialException", "It is not DER of a PKCS #8 private key") from None
    if _kind(private) != _kind(SPECS[key.spec_name].generate()):
        raise KmsFailure("IncorrectKeyMaterialException", f"It is not {key.spec_name}")
    return private


def _kind(private: Any) -> tuple[str, Any, Any]:
    curve = getattr(private, "curve", None)
    return type(private).__name__, getattr(private, "key_size", None), curve.name if curve else None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bytes):
        return bool(one == other)
    return bool(one.public_key() == other.public_key())


OPERATIONS = {"GetParametersForImport": get_parameters_for_import, "ImportKeyMaterial": import_key_material}
