"""One key of each algorithm, made once: RSA keys are slow to make."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

_MAKERS: dict[str, Callable[[], Any]] = {
    "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA_3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA_4096": lambda: rsa.generate_private_key(65537, 4096),
    "ECDSA_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECDSA_P384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ED25519": ed25519.Ed25519PrivateKey.generate,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey.generate,
}


@cache
def _private_key(algorithm: str, which: int = 0) -> Any:
    return _MAKERS[algorithm]()


@pytest.fixture(scope="session")
def private_key() -> Callable[..., Any]:
    """Return a function: the name of an algorithm in, always the same private key out; ``which`` gives others."""
    return _private_key
