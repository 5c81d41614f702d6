"""Operations that encrypt, decrypt, and authenticate messages; the cryptography is that of ``cryptography``."""

from __future__ import annotations

import json
import os
import uuid

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import Key
from tests.services.kms.signing import check_dry_run

__all__ = ["OPERATIONS"]

_ID, _NONCE = 16, 12
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA_1": hashes.SHA1(),
    "SHA_224": hashes.SHA224(),
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}


def encrypt(account: Account, request: Request) -> Answer:
    """Encrypt. A ciphertext of a symmetric key names the key, so that Decrypt can do without."""
    key, algorithm = _key(account, request, account.keyring.find(request["KeyId"]))
    if algorithm == "SYMMETRIC_DEFAULT":
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(key.material).encrypt(nonce, request["Plaintext"], _context(request))
        ciphertext = _name(key) + nonce + sealed
    else:
        try:
            ciphertext = key.material.public_key().encrypt(request["Plaintext"], _oaep(algorithm))
        except ValueError:
            raise KmsFailure("ValidationException", f"The plaintext is too long for {algorithm}") from None
    return {"KeyId": key.arn, "CiphertextBlob": ciphertext, "EncryptionAlgorithm": algorithm}


def decrypt(account: Account, request: Request) -> Answer:
    """Decrypt with the key that encrypted; another one, or another context, is an error."""
    blob = request["CiphertextBlob"]
    key, algorithm = _key(account, request, _decrypting_key(account, request))
    try:
        if algorithm == "SYMMETRIC_DEFAULT":
            nonce, sealed = blob[_ID : _ID + _NONCE], blob[_ID + _NONCE :]
            plaintext = AESGCM(key.material).decrypt(nonce, sealed, _context(request))
        else:
            plaintext = key.material.decrypt(blob, _oaep(algorithm))
    except (InvalidTag, ValueError):
        raise KmsFailure("InvalidCiphertextException") from None
    return {"KeyId": key.arn, "Plaintext": plaintext, "EncryptionAlgorithm": algorithm}


def generate_mac(account: Account, request: Request) -> Answer:
    """Authenticate a message."""
    key = _mac_key(account, request)
    return {"KeyId": key.arn, "Mac": _mac(key, request).finalize(), "MacAlgorithm": request["MacAlgorithm"]}


def verify_mac(account: Account, request: Request) -> Answer:
    """Verify a message authentication code; a wrong one is an error."""
    key = _mac_key(account, request)
    try:
        _mac(key, request).verify(request["Mac"])
    except InvalidSignature:
        raise KmsFailure("KMSInvalidMacException") from None
    return {"KeyId": key.arn, "MacValid": True, "MacAlgorithm": request["MacAlgorithm"]}


def _key(account: Account, request: Request, key: Key) -> tuple[Key, str]:
    algorithm = request.get("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
    key.check_algorithm("ENCRYPT_DECRYPT", algorithm)
    if algorithm != "SYMMETRIC_DEFAULT" and request.get("EncryptionContext"):
        raise KmsFailure("ValidationException", f"{algorithm} takes no encryption context")
    key.check_usable()
    check_dry_run(request)
    return key, algorithm


def _decrypting_key(account: Account, request: Request) -> Key:
    named = account.keyring.find(request["KeyId"]) if "KeyId" in request else None
    algorithm = request.get("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
    if named is not None:
        named.check_algorithm("ENCRYPT_DECRYPT", algorithm)
    if algorithm != "SYMMETRIC_DEFAULT":
        if named is None:
            raise KmsFailure("ValidationException", "KeyId is required with an asymmetric key")
        return named
    blob = request["CiphertextBlob"]
    found = next((key for key in account.keyring.keys.values() if blob.startswith(_name(key))), None)
    if found is None:
        raise KmsFailure("InvalidCiphertextException")
    if named is not None and named is not found:
        raise KmsFailure(
            "IncorrectKeyException", "The key ID in the request does not identify a CMK that can decrypt"
        )
    return found


def _name(key: Key) -> bytes:
    """Return the bytes by which a ciphertext names a key."""
    return uuid.UUID(key.id.removeprefix("mrk-")).bytes


def _context(request: Request) -> bytes:
    return json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()


def _oaep(algorithm: str) -> padding.OAEP:
    digest = _HASHES[algorithm.removeprefix("RSAES_OAEP_")]
    return padding.OAEP(padding.MGF1(digest), digest, None)


def _mac_key(account: Account, request: Request) -> Key:
    key = account.keyring.find(request["KeyId"])
    key.check_algorithm("GENERATE_VERIFY_MAC", request["MacAlgorithm"])
    key.check_usable()
    check_dry_run(request)
    return key


def _mac(key: Key, request: Request) -> hmac.HMAC:
    mac = hmac.HMAC(key.material, _HASHES[request["MacAlgorithm"].removeprefix("HMAC_")])
    mac.update(request["Message"])
    return mac


OPERATIONS = {"Encrypt": encrypt, "Decrypt": decrypt, "GenerateMac": generate_mac, "VerifyMac": verify_mac}
