"""What tests do with backends and keys again and again."""

from __future__ import annotations

from collections.abc import Callable

from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.models import get_algorithm
from keyclave.plugin import CreatedKey, CreateKeyRequest, KeyLabel, KeyReference
from keyclave_aws.algorithms import WAYS
from keyclave_aws.backend import AwsBackend

__all__ = ["REGION", "NewLabel", "Open", "create", "require_signatures", "sign_and_verify"]

REGION = "us-east-1"

Open = Callable[..., AwsBackend]
NewLabel = Callable[[], KeyLabel]


def create(backend: AwsBackend, label: KeyLabel, algorithm: str = "ECDSA_P256") -> CreatedKey:
    return backend.create_key(request=CreateKeyRequest(label=label, algorithm=algorithm, exportable=False))


def sign_and_verify(backend: AwsBackend, key: KeyReference, spki: bytes, scheme: str, message: bytes) -> bytes:
    """Sign a message, and let `cryptography` verify what AWS made of it."""
    data = message if WAYS[scheme].size is None else bind_digest(scheme)(message)
    signature = backend.sign(key=key, data=data, scheme=scheme).signature
    bind_verifier(load_public_key(spki), scheme)(message, signature)
    return signature


def require_signatures(backend: AwsBackend, key: KeyReference, spki: bytes) -> None:
    """Sign with every scheme of a key."""
    for scheme in get_algorithm(key.algorithm).schemes:
        sign_and_verify(backend, key, spki, scheme, b"a message")
