"""What keys in a backend cannot do is refused clearly, whoever asks, and no key material is in the refusal."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    pkcs7,
    pkcs12,
)
from keyclave.errors import CapabilityUnsupported, InvalidArgument

from core.tests.integrations.certificates import HASHES, certificate, name, pss
from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.refusals import refused

MESSAGE = b"The message that every key signs."
every = pytest.mark.parametrize("algorithm", HASHES)


def stays(call: Callable[[], object]) -> None:
    refused(CapabilityUnsupported, call, "^key '.*': the private key does not leave its backend: ")


@every
def test_no_key_is_serialised_or_pickled(private_key: PrivateKeys, algorithm: str) -> None:
    key = private_key(algorithm)
    pkcs8 = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    stays(lambda: key.private_bytes(*pkcs8))
    stays(lambda: key.private_bytes(encoding=pkcs8[0], format=pkcs8[1], encryption_algorithm=pkcs8[2]))
    stays(lambda: pickle.dumps(key))
    stays(lambda: pickle.dumps({"key": copy.copy(key)}, protocol=0))


@pytest.mark.parametrize("algorithm", ["ED25519", "ML_DSA_65"])
def test_no_raw_key_is_given_away(private_key: PrivateKeys, algorithm: str) -> None:
    stays(private_key(algorithm).private_bytes_raw)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256"])
def test_no_numbers_are_given_away(private_key: PrivateKeys, algorithm: str) -> None:
    stays(private_key(algorithm).private_numbers)


def test_signing_keys_do_nothing_else(private_key: PrivateKeys) -> None:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    rsa_key, ec_key = private_key("RSA_2048"), private_key("ECDSA_P256")
    stays(lambda: rsa_key.decrypt(rsa_key.public_key().encrypt(b"secret", oaep), oaep))
    stays(lambda: ec_key.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP256R1()).public_key()))


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ED25519"])
def test_pkcs12_needs_the_key_itself(private_key: PrivateKeys, algorithm: str) -> None:
    key = private_key(algorithm)
    own = certificate("me", key.public_key(), "me", key, HASHES[algorithm])
    stays(lambda: pkcs12.serialize_key_and_certificates(b"me", key, own, None, NoEncryption()))


def test_the_builders_pass_on_what_is_refused(private_key: PrivateKeys) -> None:
    key = private_key("ECDSA_P256")
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("x"))
    refused(InvalidArgument, lambda: builder.sign(key, hashes.SHA512()), "cannot sign with ECDSA_SHA512|ECDSA_SHA512")
    own = certificate("me", key.public_key(), "me", key, hashes.SHA256())
    mail = pkcs7.PKCS7SignatureBuilder().set_data(MESSAGE).add_signer(own, key, hashes.SHA384())
    refused(InvalidArgument, lambda: mail.sign(Encoding.DER, []), "cannot sign with ECDSA_SHA384")
    longest = pss(hashes.SHA256(), padding.PSS.MAX_LENGTH)
    refused(
        InvalidArgument,
        lambda: builder.sign(private_key("RSA_2048"), hashes.SHA256(), rsa_padding=longest),
        "this EMSA-PSS padding",
    )


@pytest.mark.parametrize("algorithm", ["ED25519", "ML_DSA_65"])
def test_the_library_has_no_pkcs7_for_keys_that_sign_messages(private_key: PrivateKeys, algorithm: str) -> None:
    key = private_key(algorithm)
    own = certificate("me", key.public_key(), "me", key, None)
    with pytest.raises(TypeError, match="Only RSA & EC keys"):
        pkcs7.PKCS7SignatureBuilder().set_data(MESSAGE).add_signer(own, key, hashes.SHA256())


def test_the_library_has_no_ssh_certificates_for_ml_dsa(private_key: PrivateKeys) -> None:
    builder = SSHCertificateBuilder().public_key(private_key("ED25519").public_key()).serial(1)
    builder = builder.type(SSHCertificateType.USER).key_id(b"x").valid_principals([b"alice"])
    with pytest.raises(TypeError, match="Unsupported private key type"):
        builder.valid_after(0).valid_before(1).sign(private_key("ML_DSA_65"))
