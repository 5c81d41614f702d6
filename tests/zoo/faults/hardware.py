"""Backends that claim hardware, and attestations that attest nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from keyclave.errors import CapabilityUnsupported
from keyclave.models import SecurityLevel
from keyclave.plugin import (
    Attestation,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    KeyReference,
    hookimpl,
)
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({122: "a key is said to be in an HSM, at level SOFTWARE"})
class KeysAreInAnHsmByName(ZooSoftware):
    """Says of its keys that they are in an HSM, and of itself that it is none."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return structs.replace(super().create_key(request), hsm_backed=True)


class _Hsm(ZooSoftware):
    """Has the level and the evidence of an HSM."""

    @hookimpl
    def describe(self) -> BackendDescription:
        return structs.replace(
            super().describe(), security_level=SecurityLevel.HSM, evidence=("Its maker is known.",)
        )

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.exportable:
            raise CapabilityUnsupported("keys cannot leave it")
        return structs.replace(super().create_key(request), hsm_backed=True, evidence=("The key was made in it.",))


@fault({122: "a key is not said to be in an HSM, at level HSM"})
class LevelOfTheProduct(_Hsm):
    """Has the level of the product, and keeps keys in software."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return structs.replace(super().create_key(request), hsm_backed=False)


@fault({14: "elsewhere than others because it is exportable"})
class ExportableIsInNoHsm(_Hsm):
    """Takes a key that may leave the HSM, wrapped, for one that is not in it."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if not request.exportable:
            return super().create_key(request)
        return ZooSoftware.create_key(self, request)


@fault({122: "the level HSM rests on no evidence"})
class EvidenceIsBlank(_Hsm):
    """Copies what the device answers into its evidence, and the device answers nothing."""

    @hookimpl
    def describe(self) -> BackendDescription:
        return structs.replace(super().describe(), evidence=("".ljust(32),))


@fault({122: "that a key is in an HSM rests on no evidence"})
class KeysWithoutEvidence(_Hsm):
    """Concludes from the device to its keys."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return structs.replace(super().create_key(request), evidence=())


class _Attesting(_Hsm):
    """Attests keys rightly, but for the signature."""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        return Attestation(format="zoo-1", statement=b"zoo-1" + nonce + hashlib.sha256(key.uri.encode()).digest())


@fault({123: "does not hold its nonce of 16 bytes"})
class AttestationIgnoresTheNonce(_Attesting):
    """Returns the certificate that the key was made with, whatever the nonce is."""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        return super().attest_key(key, b"")


@fault({123: "does not hold its nonce of 64 bytes"})
class AttestationIsCached(_Attesting):
    """Asks for a statement once for each key, since the device takes long."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.cache: dict[str, Attestation] = {}

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        return self.cache.setdefault(key.uri, super().attest_key(key, nonce))


@fault({123: "does not hold its nonce of 64 bytes"})
class NonceIsCut(_Attesting):
    """Takes as many bytes of the nonce as its field has room for."""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        return super().attest_key(key, nonce[:32])


@fault({123: "holds the nonce of an earlier call, too"})
class StatementsPileUp(_Attesting):
    """Appends to its buffer, and returns the whole of it."""

    buffer = b""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        attested = super().attest_key(key, nonce)
        self.buffer += attested.statement
        return structs.replace(attested, statement=self.buffer)
