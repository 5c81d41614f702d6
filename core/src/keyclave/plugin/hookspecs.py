"""The hooks that a backend may implement. Those that it implements are its capabilities.

`Provider` and `Detection` are implemented by the plugin's module, which imports no SDK. `KeyStorage`, `Signing`
and `Health` are implemented by the object that ``open_backend`` returns. All hooks are synchronous, and those of
an opened backend may be called from several threads at once.

An implementation raises errors of `keyclave.errors` only. What else escapes from one is reported by its type and
place, never by its text, which could hold a secret.

The core repeats calls, a plugin does not, and it turns the retries of its SDK off. For a backend whose location is
`Location.REMOTE`:

- ``Throttled`` and ``BackendUnavailable`` say that nothing changed: the call is made again, a few times and within
  its time limit, unless the error says ``retryable=False``.
- ``DeadlineExceeded`` says that nothing changed and that the time is used up: the call is not made again.
- ``OutcomeUnknown`` says that a change was sent: it is never made again blindly; recovery looks for what it made.
- Every other error is an answer, and final.
"""

from __future__ import annotations

from typing import Any

import pluggy
from pydantic import BaseModel

from keyclave.plugin.records import (
    AdoptKeyRequest,
    Attestation,
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DetectionEvidence,
    Encrypted,
    ForeignKeyPage,
    HealthReport,
    Host,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Mac,
    PermissionReport,
    PublicKey,
    Signed,
    WrappedKey,
)

__all__ = ["PROJECT", "Detection", "Health", "KeyStorage", "Provider", "Signing", "hookimpl", "hookspec"]

PROJECT = "keyclave"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Provider:
    """What the module of a plugin offers: its settings, and backends opened with them."""

    @hookspec(firstresult=True)
    def settings_model(self) -> type[BaseModel]:
        """Return the pydantic model of the plugin's own settings, those below ``[backends.<id>]``.

        The model forbids unknown fields and holds secrets as `pydantic.SecretStr`, or better as the path of
        a file. Its validators raise `keyclave.errors.InvalidArgument`; of any other exception only the type and
        the place are shown. A second call returns the same class.

        Raises:
            Nothing.

        Examples:
            >>> class AcmeSettings(BaseModel, extra="forbid"):
            ...     slot: int
            >>> class Plugin:
            ...     @hookimpl
            ...     def settings_model(self):
            ...         return AcmeSettings
            >>> Plugin().settings_model()(slot=1).slot
            1
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def open_backend(self, settings: Any, context: BackendContext) -> object:
        """Open the backend that the settings name, and return the object with its hooks.

        ``settings`` is an instance of the plugin's settings model. The SDK is imported here, not before. A
        second call opens a second, independent backend. An object with a ``close()`` method is closed once.

        Raises:
            ConfigurationError: the settings cannot be used.
            BackendUnavailable: the backend cannot be reached; the core tries again later.
            AuthenticationFailed: the credential is wrong; the core does not try again.

        Examples:
            >>> class Backend: ...
            >>> class Plugin:
            ...     @hookimpl
            ...     def open_backend(self, settings, context):
            ...         return Backend()
            >>> isinstance(Plugin().open_backend(settings=None, context=None), Backend)
            True
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def permissions_policy(self, settings: Any) -> str:
        """Return the least-privilege policy for a backend with these settings, as the provider's own text.

        ``settings`` is an instance of the plugin's settings model, or ``None`` for a backend that is not configured
        yet: then the policy is one that an operator can narrow. It grants what the hooks need and nothing else. No
        SDK is imported and nothing is asked. A second call returns the same text.

        Raises:
            ConfigurationError: no policy can be made from these settings.

        Examples:
            >>> class Plugin:
            ...     @hookimpl
            ...     def permissions_policy(self, settings):
            ...         return '{"allow": ["acme:Sign"]}'
            >>> Plugin().permissions_policy(settings=None)
            '{"allow": ["acme:Sign"]}'
        """
        raise NotImplementedError


class Detection:
    """What the module of a plugin can tell about the machine that it runs on."""

    @hookspec
    def detect(self, host: Host) -> DetectionEvidence | None:
        """Return evidence that this machine belongs to the plugin's platform, or ``None``.

        Takes at most ``host.timeout`` seconds and imports no SDK. It asks the network only where ``host.network``
        allows it, and then only fixed addresses, without a proxy and following no redirect. A second call may
        answer from what the first one saw.

        Raises:
            Nothing: what cannot be seen is ``None``.

        Examples:
            >>> from pathlib import Path
            >>> from keyclave.models import EnvironmentType
            >>> class Plugin:
            ...     @hookimpl
            ...     def detect(self, host):
            ...         if "ACME_CLUSTER" not in host.environment:
            ...             return None
            ...         return DetectionEvidence(
            ...             platform="acme", backend_type="acme-hsm", confidence=0.9,
            ...             environment_type=EnvironmentType.PRODUCTION,
            ...             observations=("ACME_CLUSTER is set",))
            >>> Plugin().detect(Host(environment={}, root=Path("/"), timeout=1.0)) is None
            True
        """
        raise NotImplementedError


class KeyStorage:
    """Keys: made, found, listed, moved, adopted and destroyed."""

    @hookspec(firstresult=True)
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Create a key version under ``request.label`` and return it once it is durable.

        A second call with the same label returns the key that the first one made: the label is how a call
        whose answer was lost is found again.

        Raises:
            CapabilityUnsupported: the backend has no such algorithm, or cannot keep ``exportable``.
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> from uuid import UUID
            >>> label = KeyLabel(
            ...     instance_id=UUID(int=1), key_id=UUID(int=2), version=1, operation_id=UUID(int=3))
            >>> class Backend:
            ...     @hookimpl
            ...     def create_key(self, request):
            ...         return CreatedKey(
            ...             reference=KeyReference(
            ...                 label=request.label, uri="acme:7", algorithm=request.algorithm),
            ...             public_key=None, exportable=request.exportable, hsm_backed=False)
            >>> request = CreateKeyRequest(label=label, algorithm="AES_256", exportable=False)
            >>> Backend().create_key(request).reference.uri
            'acme:7'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key version with this label, complete and ready for use.

        A second call returns an equal record.

        Raises:
            KeyNotFound: there is none, or it is destroyed or scheduled to be. Never return ``None``.

        Examples:
            >>> from keyclave.errors import KeyNotFound
            >>> class Backend:
            ...     @hookimpl
            ...     def find_key(self, label):
            ...         raise KeyNotFound("no key with this label")
            >>> try:
            ...     Backend().find_key(label=None)
            ... except KeyNotFound as error:
            ...     print(error)
            no key with this label
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def list_keys(self, page: str | None) -> KeyPage:
        """Return one page of the key versions of this Keyclave instance, in a stable order.

        ``page`` is ``None`` for the first page, then what the last one returned as ``next_page``. All pages
        together are complete; keys of others, and destroyed ones, are not among them. A second call
        returns the same page, with what changed in between.

        Raises:
            InvalidArgument: ``page`` did not come from this backend.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def list_keys(self, page):
            ...         return KeyPage(keys=())
            >>> Backend().list_keys(page=None).next_page is None
            True
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key, as DER SubjectPublicKeyInfo. A second call returns the same bytes.

        Raises:
            KeyNotFound: the key does not exist.
            CapabilityUnsupported: it is a symmetric key.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def public_key(self, key):
            ...         return PublicKey(spki=bytes.fromhex("302a300506032b6570032100") + bytes(32))
            >>> len(Backend().public_key(key=None).spki)
            44
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def enable_key(self, key: KeyReference) -> None:
        """Let the key be used again after ``disable_key``. A second call changes nothing.

        Raises:
            KeyNotFound: the key does not exist.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def enable_key(self, key):
            ...         self.enabled = True
            >>> Backend().enable_key(key=None)
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def disable_key(self, key: KeyReference) -> None:
        """Refuse the key for every use but its public key, until ``enable_key``. A second call changes nothing.

        Raises:
            KeyNotFound: the key does not exist.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def disable_key(self, key):
            ...         self.enabled = False
            >>> Backend().disable_key(key=None)
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Destroy the key, or schedule it where the backend delays destruction; say which.

        ``cancel_destruction`` calls a scheduled one off. A second call on a destroyed key returns *destroyed*; on a
        scheduled one the same date.

        Raises:
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> from keyclave.plugin import DestroyState
            >>> class Backend:
            ...     @hookimpl
            ...     def destroy_key(self, key):
            ...         return DestroyResult(state=DestroyState.DESTROYED)
            >>> Backend().destroy_key(key=None).state.value
            'destroyed'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def cancel_destruction(self, key: KeyReference) -> None:
        """Call off the destruction that ``destroy_key`` scheduled: the key is there again, and disabled.

        It is found and listed again, under the same label and address, and ``enable_key`` lets it be used.
        A second call changes nothing, and neither does one for a key whose destruction is not scheduled. Backends
        that delay destruction implement this hook.

        Raises:
            KeyNotFound: the key is gone, or never was.
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def cancel_destruction(self, key):
            ...         self.scheduled.discard(key.label)
            >>> backend = Backend()
            >>> backend.scheduled = set()
            >>> backend.cancel_destruction(KeyReference(label=None, uri="acme:9", algorithm="AES_256"))
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Make ready to import one key, and return the public key to wrap it under.

        A second call returns another ticket. Nothing is stored until ``import_key``.

        Raises:
            CapabilityUnsupported: keys of this algorithm cannot be imported.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def begin_import(self, request):
            ...         raise CapabilityUnsupported("AES keys cannot be imported")
            >>> from keyclave.errors import CapabilityUnsupported
            >>> try:
            ...     Backend().begin_import(request=None)
            ... except CapabilityUnsupported as error:
            ...     print(error)
            AES keys cannot be imported
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        """Import the wrapped key under the ticket's label and return it once it is durable.

        The key is checked before it is stored: algorithm, size, curve, and that its halves belong together.
        A refused key leaves nothing behind. A ticket imports once; a second call finds it used.

        Raises:
            InvalidArgument: the blob, the method or the key inside is wrong, or the ticket is used or expired.
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def import_key(self, ticket, wrapped):
            ...         raise InvalidArgument("the wrapped key cannot be unwrapped")
            >>> from keyclave.errors import InvalidArgument
            >>> try:
            ...     Backend().import_key(ticket=None, wrapped=None)
            ... except InvalidArgument as error:
            ...     print(error)
            the wrapped key cannot be unwrapped
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        """Return the key, wrapped under an RSA public key (DER SubjectPublicKeyInfo, 3072 bits or more).

        The key never leaves the backend in clear. A second call returns another blob of the same key.

        Raises:
            CapabilityUnsupported: the method is unknown here, or the key is not exportable.
            InvalidArgument: the wrapping key is not RSA, or too short.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def wrap_key(self, key, wrapping_public_key, method):
            ...         return WrappedKey(method=method, blob=b"...")
            >>> from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256
            >>> Backend().wrap_key(None, b"", RSA_AES_KEY_WRAP_SHA256).method
            'RSA_AES_KEY_WRAP_SHA256'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        """Return the maker's statement of how the key is kept, bound to ``nonce`` (16 to 64 bytes).

        A second call with the same nonce makes an equivalent statement.

        Raises:
            CapabilityUnsupported: this key cannot be attested.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def attest_key(self, key, nonce):
            ...         return Attestation(format="acme-1", statement=nonce)
            >>> Backend().attest_key(None, bytes(16)).format
            'acme-1'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def list_foreign_keys(self, page: str | None) -> ForeignKeyPage:
        """Return one page of the keys that ``adopt_key`` could adopt, in a stable order.

        They are keys that were made without Keyclave, of an algorithm that ``describe()`` names. Keys of any Keyclave
        instance are not among them, as far as the backend can tell. One that ``adopt_key`` would refuse as it is may
        be listed as well, if its description says why. ``page`` is as for ``list_keys``.
        A second call returns the same page, with what changed in between. Backends that adopt implement this
        hook, ``adopt_key`` and ``forget_key``.

        Raises:
            InvalidArgument: ``page`` did not come from this backend.

        Examples:
            >>> from keyclave.plugin import ForeignKey
            >>> class Backend:
            ...     @hookimpl
            ...     def list_foreign_keys(self, page):
            ...         key = ForeignKey(uri="acme:9", algorithm="AES_256", description="slot 9, made in 2019")
            ...         return ForeignKeyPage(keys=(key,))
            >>> Backend().list_foreign_keys(page=None).keys[0].uri
            'acme:9'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def adopt_key(self, request: AdoptKeyRequest) -> CreatedKey:
        """Keep a foreign key under ``request.label`` from now on, and return it once that is durable.

        The key itself stays as it is and where it is, under the same address; every other hook then takes it as it
        takes a key that was created. A second call with the same label returns the same key.

        Raises:
            KeyNotFound: there is no key of this address.
            Conflict: it belongs to a Keyclave already, under another label.
            CapabilityUnsupported: it is of another algorithm, or of a kind that cannot be adopted.
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> from uuid import UUID
            >>> label = KeyLabel(
            ...     instance_id=UUID(int=1), key_id=UUID(int=2), version=1, operation_id=UUID(int=3))
            >>> class Backend:
            ...     @hookimpl
            ...     def adopt_key(self, request):
            ...         return CreatedKey(
            ...             reference=KeyReference(
            ...                 label=request.label, uri=request.uri, algorithm=request.algorithm),
            ...             public_key=None, exportable=False, hsm_backed=False)
            >>> request = AdoptKeyRequest(label=label, uri="acme:9", algorithm="AES_256")
            >>> Backend().adopt_key(request).reference.uri
            'acme:9'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def forget_key(self, key: KeyReference) -> None:
        """Undo ``adopt_key``: the key is foreign again, is not changed, and is never destroyed by this.

        A second call changes nothing, and neither does one for a key that does not exist or has another label.

        Raises:
            InvalidArgument: the key was created or imported, not adopted.
            OutcomeUnknown: the request was sent and no answer came.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def forget_key(self, key):
            ...         self.labels.pop(key.label, None)
            >>> backend = Backend()
            >>> backend.labels = {}
            >>> backend.forget_key(KeyReference(label=None, uri="acme:9", algorithm="AES_256"))
        """
        raise NotImplementedError


class Signing:
    """Keys at work."""

    @hookspec(firstresult=True)
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign ``data`` and return the signature in the encoding that ``describe()`` declares.

        ``data`` is the message or its digest, as ``describe()`` asks for the scheme; the core has checked its
        length. A second call makes another valid signature, or the same one where the scheme is deterministic.

        Raises:
            KeyNotFound: the key does not exist.
            KeyDisabled: it is disabled.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def sign(self, key, data, scheme):
            ...         return Signed(signature=bytes(64))
            >>> len(Backend().sign(None, b"message", "ED25519").signature)
            64
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt ``plaintext`` and authenticate it together with ``aad``, which may be empty.

        A second call returns another ciphertext: the backend chooses every nonce.

        Raises:
            CapabilityUnsupported: ``aad`` is not empty and the backend cannot bind it. It is never ignored.
            KeyNotFound: the key does not exist.
            KeyDisabled: it is disabled.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def encrypt(self, key, plaintext, aad):
            ...         return Encrypted(ciphertext=b"...")
            >>> Backend().encrypt(None, b"data key", b"").ciphertext
            b'...'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Return the plaintext of what ``encrypt`` returned for the same key and ``aad``.

        A second call returns the same.

        Raises:
            DecryptionFailed: ciphertext, key and ``aad`` do not belong together; one error for every cause.
            KeyNotFound: the key does not exist.
            KeyDisabled: it is disabled.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def decrypt(self, key, ciphertext, aad):
            ...         return Decrypted(plaintext=b"data key")
            >>> Backend().decrypt(None, b"...", b"")
            Decrypted(plaintext=<8 bytes>)
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def mac(self, key: KeyReference, data: bytes) -> Mac:
        """Return the HMAC of ``data``, with the hash function of the key. A second call returns the same.

        Raises:
            CapabilityUnsupported: the key is not an HMAC key.
            KeyNotFound: the key does not exist.
            KeyDisabled: it is disabled.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def mac(self, key, data):
            ...         return Mac(tag=bytes(32))
            >>> len(Backend().mac(None, b"message").tag)
            32
        """
        raise NotImplementedError


class Health:
    """What a backend is, and how it is."""

    @hookspec(firstresult=True)
    def describe(self) -> BackendDescription:
        """Return what the backend is and can do, as it shows itself now. Every backend implements this.

        The security level is what evidence shows. It is read at every opening, and again each hour while the backend
        is open: look again then, since a second call may return something else. A level that was lost is believed at
        once, one that was gained at the next opening.

        Raises:
            BackendUnavailable: the backend cannot be reached.

        Examples:
            >>> from keyclave.models import AuthenticationMethod, SecurityLevel
            >>> from keyclave.plugin import Location
            >>> class Backend:
            ...     @hookimpl
            ...     def describe(self):
            ...         return BackendDescription(
            ...             contract="2026.11", provider_type="acme-hsm", security_level=SecurityLevel.SOFTWARE,
            ...             evidence=("the token reports no hardware",),
            ...             authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            ...             location=Location.DEVICE, algorithms=())
            >>> Backend().describe().security_level.value
            'SOFTWARE'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def check_health(self) -> HealthReport:
        """Return how the backend is: cheap, bounded, without side effect, and without using quota.

        A second call looks again.

        Raises:
            Nothing: a backend that cannot be reached is UNAVAILABLE.

        Examples:
            >>> from keyclave.models import AvailabilityStatus
            >>> class Backend:
            ...     @hookimpl
            ...     def check_health(self):
            ...         return HealthReport(status=AvailabilityStatus.AVAILABLE)
            >>> Backend().check_health().status.value
            'AVAILABLE'
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def check_permissions(self) -> PermissionReport:
        """Return which permissions the identity of this process lacks, without making or changing anything.

        Looked at are those that the implemented hooks need under these settings. One that cannot be told without
        doing what it permits is *unchecked*, never guessed. A second call looks again.

        Raises:
            BackendUnavailable: the backend cannot be reached.

        Examples:
            >>> class Backend:
            ...     @hookimpl
            ...     def check_permissions(self):
            ...         return PermissionReport(missing=("acme:Sign",), unchecked=("acme:Destroy",))
            >>> Backend().check_permissions().missing
            ('acme:Sign',)
        """
        raise NotImplementedError
