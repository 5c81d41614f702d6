"""What happens to a signature before it is released: its public form, and the proof that it is right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.errors import IntegrityError, KeyclaveError
from keyclave.models import SecurityLevel, get_algorithm
from keyclave.plugin.records import (
    BackendDescription,
    KeyReference,
    Location,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
)

__all__ = ["Finish", "Release", "is_trusted"]

Finish = Callable[[bytes, Signed], Signed]
"""Takes what was signed and the signature of the backend; returns it in its public form, or raises."""
_SUSPICIOUS = "Do not use the key until you know why: the backend may have used another key, or changed the data."


def is_trusted(description: BackendDescription) -> bool:
    """Return whether signatures need no verification: software in this process is part of what would verify them."""
    return description.location is Location.IN_PROCESS and description.security_level is SecurityLevel.SOFTWARE


class Release(NamedTuple):
    """How signatures of one key are released.

    Attributes:
        backend_id: the backend that makes them.
        to_der: converts them; ``None`` where their form is the public one.
        verify: raises unless they are right; ``None`` where nothing needs to be verified.
    """

    backend_id: str
    to_der: Callable[[bytes], bytes] | None
    verify: Callable[[bytes, bytes], None] | None

    @classmethod
    def of(
        cls, backend_id: str, crypto: CryptoFunctions, key: KeyReference, support: SchemeSupport, spki: bytes | None
    ) -> Release:
        """Return the release of signatures that are verified against ``spki``, or not at all if it is ``None``."""
        to_der = verify = None
        if support.encoding is SignatureEncoding.P1363:
            size = (get_algorithm(key.algorithm).key_size + 7) // 8
            to_der = partial(_convert, crypto.p1363_to_der, size)
        if spki is not None:
            digested = support.input is SigningInput.DIGEST
            verify = crypto.bind_verifier(crypto.load_public_key(spki), support.scheme, prehashed=digested)
        return cls(backend_id, to_der, verify)

    def finish(self, data: bytes, signed: Signed) -> Signed:
        """Return the signature in its public form, verified; drop one that is wrong."""
        try:
            signature = signed.signature if self.to_der is None else self.to_der(signed.signature)
            if self.verify is not None:
                self.verify(data, signature)
        except KeyclaveError:
            signature = None
        if signature is not None:
            return Signed(signature=signature, provider_reference=signed.provider_reference)
        raise IntegrityError(
            "the signature that the backend made is wrong, and was dropped",
            operation="sign",
            backend_id=self.backend_id,
            next_step=_SUSPICIOUS,
        )


def _convert(p1363_to_der: Callable[[bytes, int], bytes], size: int, signature: bytes) -> bytes:
    return p1363_to_der(signature, size)
