"""The five faults: each is one that authors have made, and each belongs to another part of the suite."""

from __future__ import annotations

from types import MappingProxyType

from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    KeyPage,
    KeyReference,
    Signed,
    hookimpl,
)

from keyclave_contract_tests.miniature.backend import Miniature

__all__ = ["FAULTS"]


class CreateReplaces(Miniature):
    """Makes new material under a label that exists."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Forget what is there, then create."""
        self.held.pop(request.label, None)
        return super().create_key(request)


class DestroyDoesNothing(Miniature):
    """Says that a key is destroyed, and keeps it."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Answer, and do nothing."""
        return DestroyResult(state=DestroyState.DESTROYED)


class ListIsEmpty(Miniature):
    """Lists nothing."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """Return an empty page."""
        return KeyPage(keys=())


class SignsWithTheFirstKey(Miniature):
    """Signs with the first key that it holds, whichever is asked for."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Look for the first key of the algorithm."""
        first = next(held.reference for held in self.held.values() if held.reference.algorithm == key.algorithm)
        return super().sign(first, data, scheme)


class IgnoresTheAssociatedData(Miniature):
    """Ignores the associated data."""

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt as if there were none, as ``encrypt`` of this class does."""
        return super().decrypt(key, ciphertext, b"")

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt as if there were none."""
        return super().encrypt(key, plaintext, b"")


FAULTS = MappingProxyType(
    {
        "create replaces": (CreateReplaces, 3, "its public key changed"),
        "destroy does nothing": (DestroyDoesNothing, 5, "destroyed key"),
        "list is empty": (ListIsEmpty, 2, "listed 0 times"),
        "signs with the first key": (SignsWithTheFirstKey, 29, "verif"),
        "ignores the associated data": (IgnoresTheAssociatedData, 42, "associated data"),
    }
)
"""For each fault: the backend, the number of the check that must find it, and what its reason must match."""
