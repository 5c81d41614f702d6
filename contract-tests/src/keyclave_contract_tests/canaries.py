"""Key material that the suite knows, so that it can be looked for: made here, imported into the backend."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from keyclave.plugin import ImportTicket, Record

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.importing import ticket_for, wrapped
from keyclave_contract_tests.violations import Unsupported

__all__ = ["Canary", "bring", "canary"]


class Canary(Record, frozen=True, kw_only=True):
    """A key that the suite knows. Its representation shows nothing of it.

    Attributes:
        algorithm: of the key.
        secret: what must not be seen: the private value, or the whole of a secret key.
        encoded: the key as it is imported.
        spki: its public key; empty for a secret key.
    """

    algorithm: str
    secret: bytes
    encoded: bytes
    spki: bytes = b""

    def __repr__(self) -> str:
        return f"Canary(algorithm={self.algorithm!r})"


def canary(bench: Bench) -> tuple[Canary, ImportTicket]:
    """Return a new key of the first algorithm of which the backend imports keys, and a ticket for it.

    Raises:
        Unsupported: it imports no keys that the suite can make.
    """
    offered = {support.algorithm for support in bench.subject.description.algorithms}
    refusal = Unsupported("begin_import", "the backend does not import keys of an algorithm that the suite makes")
    for name in filter(offered.__contains__, _MAKERS):
        try:
            return _MAKERS[name](), ticket_for(bench, bench.label(), name)
        except Unsupported as error:
            refusal = error
    raise refusal


def bring(bench: Bench, known: Canary, ticket: ImportTicket) -> Key:
    """Import the key."""
    made = bench.subject.import_key(ticket, wrapped(known.encoded, ticket))
    return Key(reference=made.reference, spki=known.spki)


def _elliptic() -> Canary:
    private = ec.generate_private_key(ec.SECP256R1())
    value = private.private_numbers().private_value.to_bytes(32, "big")
    return Canary(algorithm="ECDSA_P256", secret=value, encoded=_pkcs8(private), spki=_spki(private))


def _edwards() -> Canary:
    private = ed25519.Ed25519PrivateKey.generate()
    raw = private.private_bytes_raw()
    return Canary(algorithm="ED25519", secret=raw, encoded=_pkcs8(private), spki=_spki(private))


def _secret() -> Canary:
    value = secrets.token_bytes(32)
    return Canary(algorithm="AES_256", secret=value, encoded=value)


def _pkcs8(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _spki(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    public = private.public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


_MAKERS: dict[str, Callable[[], Canary]] = {"ECDSA_P256": _elliptic, "ED25519": _edwards, "AES_256": _secret}
