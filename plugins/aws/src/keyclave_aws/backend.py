"""The hooks of the AWS backend."""

from __future__ import annotations

from typing import NoReturn

from keyclave.errors import CapabilityUnsupported, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import (
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    Encrypted,
    HealthReport,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Location,
    PermissionReport,
    PublicKey,
    Signed,
    WrappedKey,
    hookimpl,
)

from keyclave_aws.algorithms import supported
from keyclave_aws.aliases import Aliases
from keyclave_aws.connection import Kms
from keyclave_aws.creation import Creation
from keyclave_aws.destruction import Destruction
from keyclave_aws.enabling import Enabling
from keyclave_aws.encryption import Encryption
from keyclave_aws.evidence import key_evidence, service_evidence
from keyclave_aws.health import report
from keyclave_aws.importing import Importing
from keyclave_aws.lookup import Lookup
from keyclave_aws.making import Made, Maker
from keyclave_aws.notes import Notes
from keyclave_aws.pages import marker_in, page_after
from keyclave_aws.patience import settled
from keyclave_aws.permission_check import PermissionCheck
from keyclave_aws.public_keys import PublicKeys
from keyclave_aws.settings import AwsSettings
from keyclave_aws.signing import Signing
from keyclave_aws.trails import Trails

__all__ = ["AwsBackend"]


class AwsBackend:
    """Keys in one region of one account of AWS.

    Args:
        kms: calls AWS KMS.
        settings: how keys are made.
        context: what the core says of this backend.
        key_policy: the policy for new keys; ``None`` is AWS's default.
    """

    def __init__(self, kms: Kms, settings: AwsSettings, context: BackendContext, key_policy: str | None) -> None:
        lookup = Lookup(kms)
        trails = Trails(lookup, settings.alias_prefix)
        aliases = Aliases(kms, lookup, trails)
        maker, notes = Maker(kms, settings, key_policy), Notes(context.data_directory)
        self._kms = kms
        self._settings = settings
        self._instance_id = context.instance_id
        self._evidence = service_evidence(kms.endpoint, kms.ca_bundle)
        self._lookup = lookup
        self._trails = trails
        self._public_keys = PublicKeys(lookup)
        self._creation = Creation(kms, trails, aliases, maker, notes)
        self._destruction = Destruction(kms, lookup, trails, aliases, notes=notes, days=settings.deletion_days)
        self._enabling = Enabling(kms, lookup)
        self._importing = Importing(kms, lookup, trails, aliases, maker, notes=notes, public_keys=self._public_keys)
        self._permissions = PermissionCheck(kms, lookup, settings.alias_prefix)
        self._signing = Signing(lookup, self._public_keys)
        self._encryption = Encryption(lookup)

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return what the endpoint shows, and all algorithms that KMS has."""
        return BackendDescription(
            contract="2026.11",
            provider_type="aws",
            security_level=self._evidence.level,
            evidence=self._evidence.sentences,
            simulator=self._evidence.simulator,
            authentication_method=self._kms.identity.method,
            location=Location.REMOTE,
            connection_uri=self._kms.endpoint,
            credential_source=self._kms.identity.source,
            credential_named=self._kms.identity.named,
            algorithms=supported(custom_key_store=self._settings.custom_key_store_id is not None),
        )

    @hookimpl
    def check_health(self) -> HealthReport:
        """Return whether AWS KMS answers a question that uses no quota of cryptography."""
        return report(self._kms, self._settings.alias_prefix)

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        """Return which permissions are missing, as far as AWS tells without doing anything."""
        return self._permissions.report()

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Create a key, unless there is one of this label."""
        if request.exportable:
            raise CapabilityUnsupported("AWS KMS releases no key")
        return self._created(request.label, self._creation.create(request))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key with this label: by its alias, or else by a look at all keys.

        Where there is none, an import of it that was not answered is ended.
        """
        try:
            return self._trails.by_label(label).reference(label)
        except KeyNotFound:
            self._importing.end_unanswered(label)
            raise

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """Return the keys of this instance on one page of all keys of the region."""
        found, following = self._lookup.page(None if page is None else marker_in(page))
        ours = (key.reference(label) for label, key in found if label.instance_id == self._instance_id)
        return KeyPage(keys=tuple(ours), next_page=None if following is None else page_after(following))

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key."""
        return PublicKey(spki=self._public_keys.read(key))

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        """Let the key be used."""
        self._enabling.enable(key)

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        """Refuse the key for every use."""
        self._enabling.disable(key)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Schedule the deletion of the key."""
        return self._destruction.destroy(key)

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        """Call the deletion of the key off; it is disabled then."""
        self._destruction.cancel(key)

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Make an empty key, and return a ticket to fill it."""
        return self._importing.begin(request)

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        """Fill the empty key of the ticket."""
        return self._created(ticket.request.label, self._importing.finish(ticket, wrapped))

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign a digest, or a message with Ed25519 and ML-DSA."""
        return self._signing.sign(key, data, scheme)

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt up to 4096 bytes."""
        return self._encryption.encrypt(key, plaintext, aad)

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt what ``encrypt`` returned."""
        return self._encryption.decrypt(key, ciphertext, aad)

    def close(self) -> None:
        """End the import tickets, and close the connections. A forked child closes nothing."""
        if not self._kms.is_inherited:
            self._importing.close()
            self._kms.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an opened backend cannot be copied or pickled")

    def _created(self, label: KeyLabel, made: Made) -> CreatedKey:
        found, provider_reference = made
        reference = found.reference(label)
        signs = get_algorithm(found.algorithm).signs
        in_hsm, evidence = key_evidence(self._evidence, found)
        public_key = (
            settled(lambda: self._public_keys.read(reference), in_vain=lambda: self._lookup.is_gone(found.arn))
            if signs
            else None
        )
        return CreatedKey(
            reference=reference,
            public_key=public_key,
            exportable=False,
            hsm_backed=in_hsm,
            evidence=evidence,
            provider_reference=provider_reference,
        )
