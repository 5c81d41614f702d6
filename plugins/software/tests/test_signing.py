"""Every algorithm with every scheme, checked by `cryptography` from the public key, and some by openssl."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.models import ALGORITHMS, get_signature_scheme
from keyclave.plugin import CreatedKey, SignatureEncoding, SigningInput
from keyclave_software.backend import SoftwareBackend

from plugins.software.tests.conftest import NewKey

MESSAGE = b"a message of some length, not a digest"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
SIGNING = [name for name, algorithm in ALGORITHMS.items() if algorithm.signs]


def as_input(scheme: str, message: bytes) -> bytes:
    """What `describe` asks for: the digest where there is one."""
    digest = get_signature_scheme(scheme).digest
    return hashlib.new(digest, message).digest() if digest else message


def arguments(scheme: str) -> tuple[Any, ...]:
    """How `cryptography` verifies a scheme, spelled out."""
    if scheme in ("ED25519", "ML_DSA_65"):
        return ()
    algorithm = HASHES[scheme[-3:]]
    if scheme.startswith("ECDSA"):
        return (ec.ECDSA(algorithm),)
    if scheme.startswith("RSA_PKCS1"):
        return (padding.PKCS1v15(), algorithm)
    return (padding.PSS(padding.MGF1(algorithm), salt_length=algorithm.digest_size), algorithm)


def verify(created: CreatedKey, scheme: str, signature: bytes, message: bytes) -> None:
    assert created.public_key is not None
    public_key: Any = load_der_public_key(created.public_key)
    public_key.verify(signature, message, *arguments(scheme))


@pytest.mark.parametrize("algorithm", SIGNING)
def test_every_scheme_makes_signatures_that_verify(backend: SoftwareBackend, new_key: NewKey, algorithm: str) -> None:
    created = new_key(algorithm)
    for scheme in ALGORITHMS[algorithm].schemes:
        data = as_input(scheme, MESSAGE)
        signature = backend.sign(key=created.reference, data=data, scheme=scheme).signature
        verify(created, scheme, signature, MESSAGE)
        with pytest.raises(InvalidSignature):
            verify(created, scheme, signature, MESSAGE + b"!")


def test_what_is_described_is_what_is_done(backend: SoftwareBackend) -> None:
    description = backend.describe()
    assert description.security_level.value == "SOFTWARE"
    assert description.evidence
    assert description.location.value == "in_process"
    supported = {support.algorithm: support for support in description.algorithms}
    assert set(supported) == set(ALGORITHMS)
    for name, support in supported.items():
        assert tuple(scheme.scheme for scheme in support.schemes) == ALGORITHMS[name].schemes
        assert support.binds_aad is (name == "AES_256")
        for scheme in support.schemes:
            hashed = get_signature_scheme(scheme.scheme).digest is not None
            assert scheme.input is (SigningInput.DIGEST if hashed else SigningInput.MESSAGE)
            assert scheme.encoding is (SignatureEncoding.DER if "ECDSA" in name else SignatureEncoding.RAW)


def pem_of(created: CreatedKey, path: Path) -> Path:
    assert created.public_key is not None
    path.write_bytes(
        load_der_public_key(created.public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def openssl_cases() -> Iterator[tuple[str, str, list[str]]]:
    """What OpenSSL 3.0 can verify: all but ML-DSA, which came with 3.5."""
    yield "ED25519", "ED25519", ["-rawin"]
    for algorithm, name in (("ECDSA_P256", "sha256"), ("ECDSA_P384", "sha384")):
        yield algorithm, f"ECDSA_{name.upper()}", ["-rawin", "-digest", name]
    for name in ("sha256", "sha384", "sha512"):
        options = ["-rawin", "-digest", name]
        pss = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
        yield "RSA_2048", f"RSA_PKCS1_{name.upper()}", options
        yield "RSA_2048", f"RSA_PSS_{name.upper()}", [*options, *pss]
    for algorithm in ("RSA_3072", "RSA_4096"):
        yield algorithm, "RSA_PKCS1_SHA256", ["-rawin", "-digest", "sha256"]


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("case", list(openssl_cases()), ids=lambda case: "-".join(case[:2]))
def test_openssl_verifies(
    backend: SoftwareBackend, new_key: NewKey, tmp_path: Path, case: tuple[str, str, list[str]]
) -> None:
    algorithm, scheme, options = case
    created = new_key(algorithm)
    signature = backend.sign(key=created.reference, data=as_input(scheme, MESSAGE), scheme=scheme).signature
    (tmp_path / "signature").write_bytes(signature)
    public_key = pem_of(created, tmp_path / "public.pem")
    for message, expected in ((MESSAGE, 0), (MESSAGE + b"!", 1)):
        (tmp_path / "message").write_bytes(message)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public_key), *options]
        command += ["-in", str(tmp_path / "message"), "-sigfile", str(tmp_path / "signature")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == expected


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "RSA_2048"])
@pytest.mark.parametrize("size", [0, 20, 31, 33, 48])
def test_data_that_is_no_digest_is_refused(
    backend: SoftwareBackend, new_key: NewKey, algorithm: str, size: int
) -> None:
    scheme = ALGORITHMS[algorithm].schemes[0]
    with pytest.raises(InvalidArgument, match="not a digest"):
        backend.sign(key=new_key(algorithm).reference, data=bytes(size), scheme=scheme)


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [("ED25519", "ECDSA_SHA256"), ("ECDSA_P256", "ECDSA_SHA384"), ("AES_256", "ED25519"), ("ED25519", "NONE")],
)
def test_a_scheme_of_another_algorithm_is_refused(
    backend: SoftwareBackend, new_key: NewKey, algorithm: str, scheme: str
) -> None:
    with pytest.raises(CapabilityUnsupported, match=f"a key of algorithm {algorithm} cannot sign with {scheme}"):
        backend.sign(key=new_key(algorithm).reference, data=bytes(32), scheme=scheme)


def test_many_threads_sign_at_once_with_keys_of_their_own(backend: SoftwareBackend, new_key: NewKey) -> None:
    keys = [new_key(name) for name in ("ED25519", "ECDSA_P256", "ECDSA_P384", "ML_DSA_65")]
    backend.close()

    def sign_and_verify(n: int) -> None:
        created = keys[n % len(keys)]
        (scheme,) = ALGORITHMS[created.reference.algorithm].schemes
        message = b"message %d" % n
        signature = backend.sign(key=created.reference, data=as_input(scheme, message), scheme=scheme).signature
        verify(created, scheme, signature, message)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign_and_verify, range(200)))
