"""The functions of `keyclave.crypto` that guard a backend, as `keyclave.app` hands them in.

Packages side by side do not import each other, so that each can be read and replaced alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from keyclave.plugin.records import Record

__all__ = ["BindVerifier", "CryptoFunctions"]


class BindVerifier(Protocol):
    """`keyclave.crypto.verification.bind_verifier`."""

    def __call__(
        self, public_key: Any, scheme_name: str, *, prehashed: bool = False
    ) -> Callable[[bytes, bytes], None]:
        """Return a function that takes data and signature, and raises unless the signature is right."""


class CryptoFunctions(Record, frozen=True, kw_only=True):
    """What the guards of a backend are made of.

    Attributes:
        load_public_key: DER SubjectPublicKeyInfo in, public key object out.
        bind_verifier: a public key object and the name of a scheme in, a verifier out.
        bind_digest: the name of a scheme in, a function from a message to its digest out.
        p1363_to_der: an ECDSA signature as r and s side by side, and the size of a coordinate in bytes, in; the
            signature as Ecdsa-Sig-Value out.
        check_public_key: raises ``InvalidArgument`` unless DER SubjectPublicKeyInfo is a good key of the named
            algorithm.
    """

    load_public_key: Callable[[bytes], Any]
    bind_verifier: BindVerifier
    bind_digest: Callable[[str], Callable[[bytes], bytes]]
    p1363_to_der: Callable[[bytes, int], bytes]
    check_public_key: Callable[[bytes, str], object]
