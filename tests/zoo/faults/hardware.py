"""Backends that claim more of hardware than they show."""

from __future__ import annotations

from keyclave.errors import InvalidArgument
from keyclave.models import SecurityLevel
from keyclave.plugin import Attestation, BackendDescription, CreatedKey, CreateKeyRequest, KeyReference, hookimpl
from msgspec import structs

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({122: "in an HSM, by a backend of level SOFTWARE"})
class SoftwareKeysInAnHsm(ZooSoftware):
    """Says of each key that it is in an HSM."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return structs.replace(super().create_key(request), hsm_backed=True)


@fault({122: "a key that it made is not said to be in one"})
class HsmWithoutKeys(ZooSoftware):
    """Says that it is an HSM, and of no key that it is in one."""

    @hookimpl
    def describe(self) -> BackendDescription:
        return structs.replace(
            super().describe(), security_level=SecurityLevel.HSM, evidence=("The vendor says so.",)
        )


@fault({122: "in an HSM, without evidence"})
class HsmWithoutEvidence(HsmWithoutKeys):
    """Says of each key that it is in an HSM, and cannot say why."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        return structs.replace(super().create_key(request), hsm_backed=True, evidence=())


class _Attesting(ZooSoftware):
    """A right backend that states which key it was asked about, as hardware does."""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        if not 16 <= len(nonce) <= 64:
            raise InvalidArgument("a nonce has 16 to 64 bytes")
        return self.stated(super().find_key(key.label), nonce)

    def stated(self, key: KeyReference, nonce: bytes) -> Attestation:
        return Attestation(format="acme-1", statement=nonce + key.uri.encode())


@fault({123: "two nonces have one attestation"})
class AttestationsAreKept(_Attesting):
    """Attests a key once, and answers with that statement ever after."""

    def stated(self, key: KeyReference, nonce: bytes) -> Attestation:
        return Attestation(format="acme-1", statement=key.uri.encode())


@fault({123: "two keys have one attestation"})
class AttestsTheDevice(_Attesting):
    """States that the device is genuine, and nothing of the key."""

    def stated(self, key: KeyReference, nonce: bytes) -> Attestation:
        return Attestation(format="acme-1", statement=b"genuine" + nonce)


@fault({123: "attesting with a nonce of (0|15|65) bytes succeeded"})
class AttestsWithAnyNonce(_Attesting):
    """Takes a nonce of any length."""

    @hookimpl
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        return self.stated(super().find_key(key.label), nonce)
