"""A small right backend in memory: P-256 and AES-256-GCM by `cryptography`, and nothing else."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument, KeyAlreadyExists, KeyNotFound
from keyclave.models import AuthenticationMethod, AvailabilityStatus, SecurityLevel
from keyclave.plugin import (
    CONTRACTS,
    AlgorithmSupport,
    BackendContext,
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
    Location,
    PublicKey,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    hookimpl,
)

__all__ = ["NAME", "Miniature"]

NAME = "miniature"
_NONCE = 12
_ECDSA = SchemeSupport(scheme="ECDSA_SHA256", input=SigningInput.DIGEST, encoding=SignatureEncoding.DER)


class Held(NamedTuple):
    """One key."""

    reference: KeyReference
    secret: Any

    @property
    def spki(self) -> bytes | None:
        """DER SubjectPublicKeyInfo, of a key pair."""
        if isinstance(self.secret, AESGCM):
            return None
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        spki: bytes = self.secret.public_key().public_bytes(encoding, form)
        return spki


class Miniature:
    """The backend. What it holds is gone with it."""

    def __init__(self, context: BackendContext) -> None:
        self._instance = context.instance_id
        self.held: dict[KeyLabel, Held] = {}

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return level SOFTWARE, and the two algorithms."""
        return BackendDescription(
            provider_type=NAME,
            contract=CONTRACTS[-1],
            security_level=SecurityLevel.SOFTWARE,
            evidence=("Keys are objects in the memory of this process.",),
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            location=Location.IN_PROCESS,
            algorithms=(
                AlgorithmSupport(algorithm="ECDSA_P256", schemes=(_ECDSA,)),
                AlgorithmSupport(algorithm="AES_256", binds_aad=True),
            ),
        )

    @hookimpl
    def check_health(self) -> HealthReport:
        """Return that memory is there."""
        return HealthReport(status=AvailabilityStatus.AVAILABLE)

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Generate a key."""
        if request.algorithm not in {"ECDSA_P256", "AES_256"} or request.exportable:
            raise CapabilityUnsupported("it keeps P-256 and AES-256 keys, and none that is exportable")
        if request.label in self.held and self.held[request.label].reference.algorithm != request.algorithm:
            raise KeyAlreadyExists("a key of this label exists, of another algorithm")
        held = self.held.setdefault(request.label, self._generated(request))
        return CreatedKey(reference=held.reference, public_key=held.spki, exportable=False, hsm_backed=False)

    def _generated(self, request: CreateKeyRequest) -> Held:
        label = request.label
        address = f"{label.key_id.hex}-{label.version}-{label.operation_id.hex}"
        reference = KeyReference(label=label, uri=f"{NAME}:{address}", algorithm=request.algorithm)
        if request.algorithm == "AES_256":
            return Held(reference, AESGCM(AESGCM.generate_key(256)))
        return Held(reference, ec.generate_private_key(ec.SECP256R1()))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key of a label."""
        return self.get(label).reference

    def get(self, label: KeyLabel) -> Held:
        """Return a key; raise ``KeyNotFound`` if there is none."""
        if label not in self.held:
            raise KeyNotFound("no key has this label")
        return self.held[label]

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """Return all keys on one page."""
        if page is not None:
            raise InvalidArgument("there is one page only")
        return KeyPage(keys=tuple(held.reference for held in self.held.values()))

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key of a key pair."""
        spki = self._meant(key).spki
        if spki is None:
            raise CapabilityUnsupported("a secret key has no public key")
        return PublicKey(spki=spki)

    def _meant(self, key: KeyReference) -> Held:
        """Return the key that a reference means in all its parts; raise ``KeyNotFound`` if there is none."""
        held = self.get(key.label)
        if held.reference != key:
            raise KeyNotFound("no such key is at this address")
        return held

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Forget the key."""
        self.held.pop(key.label, None)
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign a SHA-256 digest."""
        secret = self._meant(key).secret
        if isinstance(secret, AESGCM) or scheme != _ECDSA.scheme:
            raise CapabilityUnsupported(f"this key does not sign with {scheme}")
        if len(data) != hashes.SHA256.digest_size:
            raise InvalidArgument(f"the data is not a digest for {scheme}")
        return Signed(signature=secret.sign(data, ec.ECDSA(Prehashed(hashes.SHA256()))))

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt with AES-256-GCM under a fresh nonce, which comes first."""
        nonce = secrets.token_bytes(_NONCE)
        return Encrypted(ciphertext=nonce + self._cipher(key).encrypt(nonce, plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt what ``encrypt`` returned."""
        cipher = self._cipher(key)
        try:
            return Decrypted(plaintext=cipher.decrypt(ciphertext[:_NONCE], ciphertext[_NONCE:], aad))
        except (InvalidTag, ValueError):
            pass
        raise DecryptionFailed("ciphertext, key and associated data do not belong together")

    def _cipher(self, key: KeyReference) -> AESGCM:
        secret = self._meant(key).secret
        if not isinstance(secret, AESGCM):
            raise CapabilityUnsupported("a key that signs does not encrypt")
        return secret
