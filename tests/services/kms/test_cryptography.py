"""The KMS for tests, seen by boto3: what it signs and encrypts is right by ``cryptography`` outside of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa, utils
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from tests.services.kms.clients import client
from tests.services.kms.server import Running, running

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

MESSAGE = b"message"
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running() as service:
        yield service


@pytest.fixture
def kms(service: Running) -> Iterator[KMSClient]:
    with closing(client(service.endpoint)) as opened:
        yield opened


def make(kms: KMSClient, **request: Any) -> str:
    return kms.create_key(**request)["KeyMetadata"]["Arn"]


def public_key(kms: KMSClient, key: str) -> Any:
    return load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])


@pytest.mark.parametrize(
    ("spec", "algorithm", "how"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256", (ec.ECDSA(hashes.SHA256()),)),
        ("ECC_NIST_P384", "ECDSA_SHA_384", (ec.ECDSA(hashes.SHA384()),)),
        ("ECC_NIST_P521", "ECDSA_SHA_512", (ec.ECDSA(hashes.SHA512()),)),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", (padding.PKCS1v15(), hashes.SHA256())),
        ("RSA_2048", "RSASSA_PSS_SHA_256", (PSS, hashes.SHA256())),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", ()),
        ("ML_DSA_65", "ML_DSA_SHAKE_256", ()),
    ],
)
def test_a_signature_is_valid(kms: KMSClient, spec: Any, algorithm: Any, how: tuple[Any, ...]) -> None:
    key = make(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")
    answer = kms.sign(KeyId=key, Message=MESSAGE, MessageType="RAW", SigningAlgorithm=algorithm)
    assert answer["KeyId"] == key
    public_key(kms, key).verify(answer["Signature"], MESSAGE, *how)
    given: Any = {"KeyId": key, "SigningAlgorithm": algorithm, "Signature": answer["Signature"]}
    assert kms.verify(Message=MESSAGE, **given)["SignatureValid"]
    with pytest.raises(kms.exceptions.KMSInvalidSignatureException):
        kms.verify(Message=b"another", **given)


def test_a_digest_is_not_hashed_again(kms: KMSClient) -> None:
    key = make(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    digest = hashlib.sha256(MESSAGE).digest()
    given: Any = {"KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(Message=digest, MessageType="DIGEST", **given)["Signature"]
    public_key(kms, key).verify(signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    with pytest.raises(ClientError, match="invalid length"):
        kms.sign(Message=digest[1:], MessageType="DIGEST", **given)
    twice = kms.sign(Message=digest, **given)["Signature"]  # without MessageType a digest is a message
    public_key(kms, key).verify(twice, digest, ec.ECDSA(hashes.SHA256()))


def test_ml_dsa_signs_the_representative_of_a_message(kms: KMSClient) -> None:
    key = make(kms, KeySpec="ML_DSA_65", KeyUsage="SIGN_VERIFY")
    public, message = public_key(kms, key), os.urandom(5000)
    hasher = mldsa.MLDSAMuHasher(public)
    hasher.update(message)
    given: Any = {"KeyId": key, "SigningAlgorithm": "ML_DSA_SHAKE_256", "MessageType": "EXTERNAL_MU"}
    public.verify(kms.sign(Message=hasher.finalize(), **given)["Signature"], message)
    with pytest.raises(ClientError, match="EXTERNAL_MU"):
        kms.sign(Message=bytes(63), **given)


def test_a_dry_run_checks_everything_and_signs_nothing(kms: KMSClient) -> None:
    key = make(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    given: Any = {"KeyId": key, "Message": MESSAGE, "DryRun": True}
    with pytest.raises(kms.exceptions.DryRunOperationException):
        kms.sign(SigningAlgorithm="ECDSA_SHA_256", **given)
    with pytest.raises(kms.exceptions.InvalidKeyUsageException):
        kms.sign(SigningAlgorithm="RSASSA_PSS_SHA_256", **given)
    kms.disable_key(KeyId=key)
    with pytest.raises(kms.exceptions.DisabledException):
        kms.sign(SigningAlgorithm="ECDSA_SHA_256", **given)


def test_a_ciphertext_needs_its_key_and_its_context(kms: KMSClient) -> None:
    key, other, context = make(kms), make(kms), {"a": "1", "b": "2"}
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert (answer["Plaintext"], answer["KeyId"]) == (b"secret", key)
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "1"})
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=blob[:-1] + bytes([blob[-1] ^ 1]), EncryptionContext=context, KeyId=key)
    with pytest.raises(kms.exceptions.IncorrectKeyException):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    with pytest.raises(ClientError, match="4096"):
        kms.encrypt(KeyId=key, Plaintext=bytes(4097))


def test_oaep_decrypts_what_was_encrypted_with_the_public_key(kms: KMSClient) -> None:
    key = make(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    given: Any = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert (
        kms.decrypt(CiphertextBlob=public_key(kms, key).encrypt(b"secret", oaep), **given)["Plaintext"] == b"secret"
    )
    blob = kms.encrypt(Plaintext=b"secret", **given)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, **given)["Plaintext"] == b"secret"


def test_a_mac_is_verified(kms: KMSClient) -> None:
    given: Any = {
        "KeyId": make(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"),
        "MacAlgorithm": "HMAC_SHA_256",
    }
    mac = kms.generate_mac(Message=MESSAGE, **given)["Mac"]
    assert kms.verify_mac(Message=MESSAGE, Mac=mac, **given)["MacValid"]
    with pytest.raises(kms.exceptions.KMSInvalidMacException):
        kms.verify_mac(Message=b"another", Mac=mac, **given)


def wrapped(parameters: Any, content: bytes, digest: hashes.HashAlgorithm) -> bytes:
    public, secret = load_der_public_key(parameters["PublicKey"]), os.urandom(32)
    assert isinstance(public, rsa.RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    return public.encrypt(secret, oaep) + aes_key_wrap_with_padding(secret, content)


def pkcs8(private: Any) -> bytes:
    return bytes(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [("RSA_AES_KEY_WRAP_SHA_256", hashes.SHA256()), ("RSA_AES_KEY_WRAP_SHA_1", hashes.SHA1())],
)
def test_a_wrapped_key_comes_in(kms: KMSClient, algorithm: Any, digest: hashes.HashAlgorithm) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = make(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Origin="EXTERNAL")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    with pytest.raises(kms.exceptions.KMSInvalidStateException, match="pending import"):
        kms.get_public_key(KeyId=key)
    parameters = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_4096")
    assert timedelta(hours=23) < parameters["ParametersValidTo"] - datetime.now(UTC) <= timedelta(hours=24)

    def bring(content: bytes) -> None:
        kms.import_key_material(
            KeyId=key,
            ImportToken=parameters["ImportToken"],
            EncryptedKeyMaterial=wrapped(parameters, content, digest),
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )

    with pytest.raises(kms.exceptions.IncorrectKeyMaterialException):
        bring(pkcs8(ec.generate_private_key(ec.SECP384R1())))
    bring(pkcs8(private))
    bring(pkcs8(private))
    with pytest.raises(kms.exceptions.IncorrectKeyMaterialException):
        bring(pkcs8(ec.generate_private_key(ec.SECP256R1())))
    spki = kms.get_public_key(KeyId=key)["PublicKey"]
    assert spki == private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Origin"] == "EXTERNAL"


def test_a_ticket_is_for_one_key_for_one_day(
    service: Running, kms: KMSClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (make(kms, Origin="EXTERNAL") for _ in range(2))
    parameters = kms.get_parameters_for_import(
        KeyId=one, WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_4096"
    )
    given: Any = {
        "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": wrapped(parameters, bytes(32), hashes.SHA256()),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
    with pytest.raises(kms.exceptions.InvalidImportTokenException):
        kms.import_key_material(KeyId=other, **given)
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.import_key_material(KeyId=one, **{**given, "EncryptedKeyMaterial": bytes(552)})
    monkeypatch.setattr(service.kms.account, "clock", lambda: datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(kms.exceptions.ExpiredImportTokenException):
        kms.import_key_material(KeyId=one, **given)
