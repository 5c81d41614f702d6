"""Keys in memory: P-256, Ed25519 and AES-256."""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import CapabilityUnsupported, DecryptionFailed, KeyDisabled, KeyNotFound
from keyclave.models import AvailabilityStatus
from keyclave.plugin import (
    AlgorithmSupport,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    HealthReport,
    KeyLabel,
    KeyPage,
    KeyReference,
    Mac,
    PublicKey,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    hookimpl,
)

from .settings import AcmeSettings

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | AESGCM
_SIZE = 32


def _make(algorithm: str) -> Key:
    if algorithm == "ECDSA_P256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "ED25519":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "AES_256":
        return AESGCM(AESGCM.generate_key(256))
    raise CapabilityUnsupported(f"no {algorithm} here")


class MemoryBackend:
    """All hooks that need no file and no wrapping."""

    def __init__(self, settings: AcmeSettings) -> None:
        self.keys: dict[KeyLabel, tuple[KeyReference, Key]] = {}
        self.disabled: set[KeyLabel] = set()
        self.closed = 0
        self._settings = settings

    def close(self) -> None:
        self.closed += 1
        self.keys.clear()

    @hookimpl
    def describe(self) -> BackendDescription:
        ecdsa = SchemeSupport(scheme="ECDSA_SHA256", input=self._settings.input, encoding=self._settings.encoding)
        eddsa = SchemeSupport(
            scheme="ED25519", input=SigningInput.MESSAGE, encoding=SignatureEncoding.RAW, min_input=1, max_input=4096
        )
        return BackendDescription(
            contract=self._settings.contract,
            provider_type="acme",
            security_level=self._settings.level,
            evidence=("keys are in memory",),
            authentication_method=self._settings.authentication,
            credential_named=self._settings.credential_named,
            location=self._settings.location,
            algorithms=(
                AlgorithmSupport(algorithm="ECDSA_P256", schemes=(ecdsa,)),
                AlgorithmSupport(algorithm="ED25519", schemes=(eddsa,)),
                AlgorithmSupport(
                    algorithm="AES_256",
                    min_plaintext=self._settings.min_plaintext,
                    max_plaintext=self._settings.max_plaintext,
                    binds_aad=self._settings.binds_aad,
                ),
            ),
        )

    @hookimpl
    def check_health(self) -> HealthReport:
        return HealthReport(status=AvailabilityStatus.AVAILABLE, detail=f"{len(self.keys)} keys")

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        if request.label not in self.keys:
            reference = KeyReference(
                label=request.label, uri=f"acme:{request.label.operation_id.hex}", algorithm=request.algorithm
            )
            self.keys[request.label] = reference, _make(request.algorithm)
        reference, key = self.keys[request.label]
        spki = None if isinstance(key, AESGCM) else _spki(key)
        return CreatedKey(reference=reference, public_key=spki, exportable=request.exportable, hsm_backed=False)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        return self._held(label)[0]

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        start = int(page or 0)
        references = [reference for reference, _ in self.keys.values()]
        end = start + self._settings.page_size
        return KeyPage(keys=tuple(references[start:end]), next_page=str(end) if end < len(references) else None)

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        held = self._held(key.label)[1]
        if isinstance(held, AESGCM):
            raise CapabilityUnsupported("a secret key has no public key")
        return PublicKey(spki=_spki(held))

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        self.disabled.discard(self._held(key.label)[0].label)

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        self.disabled.add(self._held(key.label)[0].label)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self.keys.pop(key.label, None)
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        held = self._usable(key)
        if isinstance(held, ed25519.Ed25519PrivateKey):
            return Signed(signature=held.sign(data))
        assert isinstance(held, ec.EllipticCurvePrivateKey)
        digested = self._settings.input is SigningInput.DIGEST
        signature = held.sign(data, ec.ECDSA(Prehashed(hashes.SHA256()) if digested else hashes.SHA256()))
        if self._settings.encoding is SignatureEncoding.P1363:
            r, s = decode_dss_signature(signature)
            signature = r.to_bytes(_SIZE, "big") + s.to_bytes(_SIZE, "big")
        return Signed(signature=signature, provider_reference="acme-request")

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        held = self._usable(key)
        assert isinstance(held, AESGCM)
        nonce = os.urandom(12)
        return Encrypted(ciphertext=nonce + held.encrypt(nonce, plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        held = self._usable(key)
        assert isinstance(held, AESGCM)
        try:
            return Decrypted(plaintext=held.decrypt(ciphertext[:12], ciphertext[12:], aad))
        except InvalidTag:
            raise DecryptionFailed("the ciphertext cannot be decrypted") from None

    @hookimpl
    def mac(self, key: KeyReference, data: bytes) -> Mac:
        self._usable(key)
        return Mac(tag=hmac.digest(key.uri.encode(), data, "sha256"))

    def _held(self, label: KeyLabel) -> tuple[KeyReference, Key]:
        try:
            return self.keys[label]
        except KeyError:
            raise KeyNotFound("no key with this label") from None

    def _usable(self, key: KeyReference) -> Key:
        if key.label in self.disabled:
            raise KeyDisabled("the key is disabled")
        return self._held(key.label)[1]


def _spki(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
