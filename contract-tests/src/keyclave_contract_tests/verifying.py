"""Keyclave's own verifier, as callers get it for a key of the backend, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from keyclave.errors import InvalidSignature, KeyclaveError

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.violations import Violation, refused, type_name

__all__ = ["Verifier", "accepted", "rejected", "verifier"]

Data: TypeAlias = bytes | bytearray | memoryview
Verifier: TypeAlias = Callable[[Any, Any], None]
"""Takes data and signature, bytes of any kind, and raises unless the signature is right."""


def verifier(bench: Bench, spki: bytes, scheme: str, *, prehashed: bool = False) -> Verifier:
    """Return the verifier of a public key."""
    crypto = bench.source.crypto
    return crypto.bind_verifier(crypto.load_public_key(spki), scheme, prehashed=prehashed)


def accepted(verify: Verifier, data: Data, signature: Data, what: str) -> None:
    """Expect that a signature is accepted; ``what`` names it."""
    try:
        verify(data, signature)
    except KeyclaveError as error:
        raise Violation(f"the verifier refused {what} with {type_name(error)}") from error


def rejected(verify: Verifier, data: Data, signature: Data, what: str) -> None:
    """Expect that a signature is refused as wrong; ``what`` names it."""
    refused(InvalidSignature, f"verifying {what}", lambda: verify(data, signature))
