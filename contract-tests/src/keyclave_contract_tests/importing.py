"""Import keys that the oracle knows: ask for a ticket, wrap with `cryptography` alone, hand it in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256, ImportTicket, KeyLabel, WrappedKey

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.originals import secret_of
from keyclave_contract_tests.violations import Unsupported

__all__ = ["OAEP", "bring", "importable", "imported", "ticket_for", "unwrapped", "wrapped"]


def _oaep(function: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(function), algorithm=function, label=None)


OAEP: Mapping[str, padding.OAEP] = {
    RSA_AES_KEY_WRAP_SHA256: _oaep(hashes.SHA256()),
    RSA_AES_KEY_WRAP_SHA1: _oaep(hashes.SHA1()),  # noqa: S303  what some tokens have no other of
}
"""What each method encrypts its AES key with."""

_FASTEST = ("AES_256", "ECDSA_P256", "ED25519", "ECDSA_P384", "RSA_2048", "RSA_3072", "RSA_4096", "ML_DSA_65")


def ticket_for(bench: Bench, label: KeyLabel, algorithm: str, *, exportable: bool = False) -> ImportTicket:
    """Return a ticket to import a key with.

    Raises:
        Unsupported: the backend imports no keys of this algorithm, or wants them wrapped as the suite cannot.
    """
    try:
        ticket = bench.subject.begin_import(label, algorithm, exportable=exportable)
    except CapabilityUnsupported as error:
        raise bench.unsupported("begin_import", error, label) from None
    if ticket.method not in OAEP:
        raise Unsupported("begin_import", f"the suite cannot wrap by {ticket.method}")
    return ticket


def wrapped(
    secret: bytes, ticket: ImportTicket, *, oaep: padding.OAEP | None = None, kek: bytes | None = None
) -> bytes:
    """Return a key, wrapped as a ticket asks for, or with another OAEP."""
    kek = kek or secrets.token_bytes(32)
    sealed: bytes = oracle.load(ticket.wrapping_public_key).encrypt(kek, oaep or OAEP[ticket.method])
    return sealed + keywrap.aes_key_wrap_with_padding(kek, secret)


def unwrapped(released: WrappedKey, private: rsa.RSAPrivateKey) -> bytes | None:
    """Return the key in what was wrapped; ``None`` if it was not wrapped by its method."""
    blob = released.blob
    size = private.key_size // 8
    try:
        kek = private.decrypt(blob[:size], OAEP[released.method])
        return keywrap.aes_key_unwrap_with_padding(kek, blob[size:])
    except (ValueError, keywrap.InvalidUnwrap):
        return None


def bring(
    bench: Bench, algorithm: str, secret: bytes, *, label: KeyLabel | None = None, exportable: bool = False
) -> Key:
    """Import a key for the check alone: PKCS#8, or the bytes of an AES key."""
    ticket = ticket_for(bench, label or bench.label(), algorithm, exportable=exportable)
    return bench.made(bench.subject.import_key(ticket, wrapped(secret, ticket)))


def imported(bench: Bench, algorithm: str) -> Key:
    """Return the key that all checks share that was imported from `keyclave_contract_tests.originals`."""
    return bench.shared(f"imported {algorithm}", lambda: bring(bench, algorithm, secret_of(algorithm)))


def importable(bench: Bench) -> str:
    """Return the algorithm of which keys are imported fastest.

    Raises:
        Unsupported: none can be imported.
    """
    return bench.shared("importable", lambda: _first_importable(bench))


def _first_importable(bench: Bench) -> str:
    offered = {support.algorithm for support in bench.subject.description.algorithms}
    for name in filter(offered.__contains__, _FASTEST):
        label = bench.label()
        try:
            ticket_for(bench, label, name)
        except Unsupported:
            continue
        finally:
            bench.journal.gone(label)
        return name
    raise Unsupported("begin_import", "the backend imports keys of no algorithm")
