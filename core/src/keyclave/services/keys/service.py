"""Keys, as applications use them: ``clave.keys``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from keyclave.crypto.algorithms import load_public_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.integrations.private_keys import private_key
from keyclave.models import KeyHandle, RotationPolicy
from keyclave.plugin import ForeignKey
from keyclave.services.fallback.signing import Fallback
from keyclave.services.fallback.standby_keys import Standbys
from keyclave.services.handles import current, to_handle
from keyclave.services.instance import Instance
from keyclave.services.keys.adoption import Adoption
from keyclave.services.keys.cancellation import Cancellation
from keyclave.services.keys.creation import Creation
from keyclave.services.keys.destruction import Destruction
from keyclave.services.keys.encryption import Encryption
from keyclave.services.keys.signing import Signer
from keyclave.services.keys.verification import Verifier
from keyclave.services.names import naming, require_name, require_version
from keyclave.services.results import SignResult

__all__ = ["KeyService"]


class KeyService:
    """Create, use and end keys. Every call may be made from any thread.

    Any of them may raise `KeyNotFound` for a name or version that does not exist, `InvalidArgument` for an
    argument that cannot be right, `BackendError` when the backend does not do what was asked, `IntegrityError` when
    stored data was changed behind Keyclave's back, and `AuditUnavailable` when the operation could not be recorded,
    so that its result was dropped.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        creation: Creation,
        adoption: Adoption,
        standbys: Standbys,
        signer: Signer | Fallback,
        verifier: Verifier,
        encryption: Encryption,
        destruction: Destruction,
        cancellation: Cancellation,
    ) -> None:
        self._instance = instance
        self._creation = creation
        self._adoption = adoption
        self._standbys = standbys
        self._signer = signer
        self._verifier = verifier
        self._encryption = encryption
        self._destruction = destruction
        self._cancellation = cancellation

    def create(
        self,
        name: str,
        algorithm: str,
        *,
        backend: str | None = None,
        policy: RotationPolicy | None = None,
        wrappable: bool = False,
    ) -> KeyHandle:
        """Create a key and its first version.

        Args:
            name: unique in the instance: 1 to 128 of a-z, 0-9, ``.``, ``_`` and ``-``.
            algorithm: RSA_2048, RSA_3072, RSA_4096, ECDSA_P256, ECDSA_P384, ED25519, ML_DSA_65 or AES_256.
            backend: the configured backend to create it in; ``None`` takes the first that the policy allows.
            policy: when it is rotated; ``None`` takes the environment's.
            wrappable: whether a migration may later move the key itself, wrapped, to another backend.

        Raises:
            KeyAlreadyExists: a key of that name exists.
            PolicyViolation: no backend of the required level may take it (FR-014).
            CapabilityUnsupported: the backend cannot do this algorithm, or releases no keys and is asked for one that
                is wrappable.
            OutcomeUnknown: the backend did not answer; recovery finds what it made.
        """
        try:
            return self._creation.create(name, algorithm, backend=backend, policy=policy, wrappable=wrappable)
        finally:
            self._instance.epoch.invalidate()

    def adopt(self, name: str, uri: str, *, algorithm: str | None = None, backend: str) -> KeyHandle:
        """Take a key that is in a backend already into Keyclave's care, as the first version of a new key.

        It stays where it is and as it is, and must sign or decrypt a fresh challenge first. From then on it is
        Keyclave's like any other: ``revoke`` disables it in the backend and ``destroy`` destroys it there, for
        whoever else uses it too.

        Args:
            name: as for ``create``.
            uri: its address, as ``adoptable`` gives it.
            algorithm: what it must be; ``None`` takes what the backend says that it is.
            backend: the configured backend that it is in.

        Raises:
            KeyAlreadyExists: a key of that name exists.
            KeyNotFound: the backend lists no foreign key of that address.
            CapabilityUnsupported: the backend does not adopt keys.
            PolicyViolation: the backend does not show the required level (FR-014).
            IntegrityError: the key does not do what its algorithm and public key say. It is foreign again.
            OutcomeUnknown: the backend did not answer; recovery makes the key foreign again.
        """
        try:
            return self._adoption.adopt(name, uri, algorithm=algorithm, backend=backend)
        finally:
            self._instance.epoch.invalidate()

    def adoptable(self, backend: str) -> tuple[ForeignKey, ...]:
        """Return the keys in a backend that no Keyclave made or adopted, and that ``adopt`` could take."""
        return tuple(self._adoption.adoptable(backend))

    def add_standby(self, name: str) -> KeyHandle:
        """Give a key a standby version, and return it; one that it has is deprecated, as by a rotation.

        A key that is created while the policy allows fallback has one already. Others get one by this: keys that are
        older than the policy, and keys that were adopted. Publish its public key: it signs without further notice
        while the backend of the active version is unavailable (FR-024).

        Raises:
            PolicyViolation: the policy allows no fallback, or no backend behind that of the active version may take
                the standby.
            InvalidArgument: the key encrypts: no other key could decrypt what it encrypted.
            KeyDisabled: the key is revoked.
            Conflict: another change of the key is under way.
            IntegrityError: the standby failed its validation, and was destroyed again.
            OutcomeUnknown: the backend did not answer; recovery finds what it made.
        """
        try:
            return self._standbys.add(name)
        finally:
            self._instance.epoch.invalidate()

    def remove_standby(self, name: str) -> KeyHandle:
        """Take the standby version of a key out of use, and return it: it is deprecated, and kept as such.

        Raises:
            Conflict: the key has none, or another change of it is under way.
        """
        try:
            return self._standbys.remove(name)
        finally:
            self._instance.epoch.invalidate()

    def get(self, name: str) -> KeyHandle:
        """Return the active version of a key, or its newest where none is active."""
        return current_handle(self.versions(name))

    def versions(self, name: str) -> tuple[KeyHandle, ...]:
        """Return every version of a key, the oldest first."""
        with naming("get", name), self._instance.store.read() as state:
            require_name(name)
            key = state.keys.by_name(name)
            return tuple(to_handle(key, version) for version in state.keys.versions(key.key_id))

    def list(self) -> tuple[KeyHandle, ...]:
        """Return all keys by name, each as ``get`` would. For very many keys use ``pages``."""
        return tuple(handle for page in self.pages() for handle in page)

    def pages(self, size: int = 1000) -> Iterator[tuple[KeyHandle, ...]]:
        """Yield all keys by name, ``size`` at a time: memory is bounded by one page.

        Args:
            size: 1 to 10,000.
        """
        if not 1 <= size <= 10_000:  # noqa: PLR2004  the documented range
            raise InvalidArgument("a page holds 1 to 10,000 keys")
        after: str | None = None
        while True:
            with self._instance.store.read() as state:
                keys = state.keys.page(after, size)
                page = tuple(to_handle(key, current(state.keys.versions(key.key_id))) for key in keys)
            if not page:
                return
            yield page
            after = page[-1].name

    def public_key(self, name: str, version: int | None = None) -> Any:
        """Return the public key of a version as an object of the ``cryptography`` library.

        It comes from the state, not from the backend. Without ``version`` it is that of the active version.

        Raises:
            CapabilityUnsupported: it is a symmetric key.
        """
        with naming("public_key", name):
            return load_public_key(self._stored_public_key(name, version))

    def _stored_public_key(self, name: str, version: int | None) -> bytes:
        require_name(name)
        if version is not None:
            require_version(version)
        with self._instance.store.read() as state:
            key = state.keys.by_name(name)
            if version is None:
                stored = current(state.keys.versions(key.key_id))
            else:
                stored = state.keys.version(key.key_id, version)
        if stored.public_key is None:
            raise CapabilityUnsupported(
                f"a key of algorithm {key.algorithm} has no public key",
                next_step="Public keys exist for signing keys only.",
            )
        return stored.public_key

    def sign(self, name: str, data: bytes, *, scheme: str | None = None, prehashed: bool = False) -> SignResult:
        """Sign with the active version of a key, or with its standby where the policy allows fallback.

        The standby signs while the backend of the active version does not answer; `SignResult.fallback` says so.

        Args:
            name: the key.
            data: the message; with ``prehashed`` its digest, made with the scheme's hash function.
            scheme: a scheme that the key's algorithm has; ``None`` takes its default (RSA_PSS_SHA256 for RSA).
            prehashed: ``data`` is a digest. Not for ED25519 and ML_DSA_65, which sign messages.

        Raises:
            KeyDisabled: the key is revoked.
            Conflict: the key changed twice while the call ran.
            PolicyViolation: the backend no longer shows the level that the key requires.
        """
        return self._signer.sign((name, scheme, prehashed, None), data)

    def sign_stream(self, name: str, source: BinaryIO, *, scheme: str | None = None) -> SignResult:
        """Sign what a binary file holds, from its position to its end, as ``sign`` would sign its content.

        RSA and ECDSA keys hash it in bounded memory; ED25519 and ML_DSA_65 sign the message and need all of it. So do
        two versions that both sign, where one's hash function is not the other's.
        """
        return self._signer.sign_stream(name, source, scheme)

    def verify(
        self,
        name: str,
        data: bytes,
        signature: bytes,
        *,
        version: int | None = None,
        scheme: str | None = None,
        prehashed: bool = False,
    ) -> int:
        """Return the version of the key that made the signature over the data.

        It happens in this process, with the stored public keys, and needs no backend.

        Args:
            name: the key.
            data: the message; with ``prehashed`` its digest.
            signature: ECDSA as DER Ecdsa-Sig-Value (RFC 3279), the others in their one raw form.
            version: accept this version only; ``None`` accepts every version that is not revoked.
            scheme: as for ``sign``.
            prehashed: as for ``sign``.

        Raises:
            InvalidSignature: the signature is wrong.
            VerificationError: it could not be checked.
            KeyDisabled: the version that made it is revoked.
        """
        return self._verifier.verify((name, scheme, prehashed, version), data, signature)

    def verify_stream(
        self,
        name: str,
        source: BinaryIO,
        signature: bytes,
        *,
        version: int | None = None,
        scheme: str | None = None,
    ) -> int:
        """Verify a signature over what a binary file holds, from its position to its end; see ``verify``."""
        return self._verifier.verify_stream(name, source, signature, version, scheme)

    def encrypt(self, name: str, plaintext: bytes, *, aad: bytes | None = None) -> bytes:
        """Encrypt with the active version of a key, and bind the associated data.

        Args:
            name: a key of algorithm AES_256.
            plaintext: any number of bytes; for large ones use ``encrypt_stream``.
            aad: associated data: not part of the ciphertext, and needed again to decrypt. ``None`` is empty.

        Returns:
            A self-describing ciphertext that names key, version and suite.

        Raises:
            KeyDisabled: the key is revoked.
            Conflict: the key changed while the call ran; the ciphertext was dropped. Repeat the call.
            PolicyViolation: the backend no longer shows the level that the key requires.
        """
        return self._encryption.encrypt(name, plaintext, aad)

    def decrypt(self, name: str, ciphertext: bytes, *, aad: bytes | None = None) -> bytes:
        """Decrypt what ``encrypt`` or ``encrypt_stream`` made with any version that is not revoked.

        Raises:
            DecryptionFailed: ciphertext, key and associated data do not belong together.
            KeyDisabled: the version that the ciphertext names is revoked or destroyed.
            Conflict: it was revoked or destroyed while the call ran; the plaintext was dropped.
            PolicyViolation: as for ``encrypt``.
        """
        return self._encryption.decrypt(name, ciphertext, aad)

    def encrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, *, aad: bytes | None = None) -> None:
        """Encrypt from one binary file to another in bounded memory; see ``encrypt``."""
        self._encryption.encrypt_stream(name, source, target, aad)

    def decrypt_stream(self, name: str, source: BinaryIO, target: BinaryIO, *, aad: bytes | None = None) -> None:
        """Decrypt from one binary file to another in bounded memory; see ``decrypt``.

        Each piece is authentic when it is written, but only a normal return says that none is missing at the end:
        do not use the target when this raises.
        """
        self._encryption.decrypt_stream(name, source, target, aad)

    def revoke(self, name: str, reason: str) -> tuple[KeyHandle, ...]:
        """Take every version of a key out of use for good, and return them.

        From then on nothing signs, decrypts or verifies with it, and its backend disables it. It cannot be undone.

        Args:
            name: the key.
            reason: why; 1 to 1024 characters, not all blank.

        Raises:
            OutcomeUnknown: the key is revoked, but its backend did not disable it; recovery repeats that.
        """
        try:
            return self._destruction.revoke(name, reason)
        finally:
            self._instance.epoch.invalidate()

    def destroy(self, name: str, version: int) -> KeyHandle:
        """Destroy one deprecated or revoked version in its backend, adopted or not, and return it.

        ``destroyed_at`` says when it is gone: a backend that delays destruction names a date to come, and until then
        ``cancel_destruction`` calls it off. The public key stays, so that old signatures still verify unless the
        version is revoked.

        Raises:
            Conflict: the version is active or pending.
            PolicyViolation: its retention has not ended.
            OutcomeUnknown: the backend did not destroy it, or did not say so; recovery repeats that.
        """
        try:
            return self._destruction.destroy(name, version)
        finally:
            self._instance.epoch.invalidate()

    def cancel_destruction(self, name: str, version: int) -> KeyHandle:
        """Call the destruction of one version off that its backend has scheduled, and return the version.

        It is what it was before: a deprecated version decrypts again, a revoked one stays out of use.

        Raises:
            Conflict: no destruction of it is scheduled, or another change of the key is under way.
            KeyNotFound: it is gone already.
            CapabilityUnsupported: its backend does not call destructions off.
            OutcomeUnknown: the backend did not do it, or did not say so; recovery repeats that.
        """
        try:
            return self._cancellation.cancel(name, version)
        finally:
            self._instance.epoch.invalidate()

    def private_key(self, name: str) -> Any:
        """Return the active version as a private key of the ``cryptography`` library that signs in the backend.

        It works wherever that library takes a private key: certificates, requests, CRLs, PKCS#7, SSH
        certificates, PyJWT. After a rotation it refuses to sign with `Conflict`: what names the old public key
        must be renewed, so get the key again.
        """
        handle = self.get(name)

        def sign(data: bytes, scheme: str, prehashed: bool) -> bytes:  # noqa: FBT001  the integration's protocol
            return self._signer.sign((name, scheme, prehashed, handle.version), data).signature

        return private_key(self.public_key(name, handle.version), handle.algorithm, sign, name=name)


def current_handle(versions: tuple[KeyHandle, ...]) -> KeyHandle:
    """Return the ACTIVE handle, or the newest where none is active."""
    return next((v for v in versions if v.status == "ACTIVE"), versions[-1])
