"""Import a key: an empty key with a ticket, then its material, wrapped under a key of AWS."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING

from keyclave.crypto.key_checks import check_public_key
from keyclave.errors import (
    CapabilityUnsupported,
    Conflict,
    DecryptionFailed,
    InvalidArgument,
    KeyAlreadyExists,
    KeyclaveError,
    OutcomeUnknown,
)
from keyclave.models import get_algorithm
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, ImportKeyRequest, ImportTicket, KeyLabel, WrappedKey

from keyclave_aws.algorithms import IMPORT_METHODS, IMPORTABLE
from keyclave_aws.aliases import Aliases
from keyclave_aws.connection import Kms
from keyclave_aws.destruction import SHORTEST, schedule
from keyclave_aws.errors import reference_of
from keyclave_aws.lookup import Lookup, require_same_key
from keyclave_aws.making import Made, Maker
from keyclave_aws.notes import Notes
from keyclave_aws.patience import settled
from keyclave_aws.public_keys import PublicKeys
from keyclave_aws.tickets import EmptyKey, Tickets, new_ticket_id, refused_ticket
from keyclave_aws.trails import Trail, Trails

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["Importing"]

_WRAPPED_BYTES = 6144  # CiphertextType in the model of KMS


class Importing:
    """Imports keys.

    Args:
        kms: calls AWS KMS.
        lookup: looks at keys.
        trails: finds keys.
        aliases: sets aliases.
        maker: makes empty keys.
        notes: of the imports that were begun, and of the creations.
        public_keys: what AWS makes of the material.
    """

    def __init__(
        self,
        kms: Kms,
        lookup: Lookup,
        trails: Trails,
        aliases: Aliases,
        maker: Maker,
        *,
        notes: Notes,
        public_keys: PublicKeys,
    ) -> None:
        self._kms = kms
        self._lookup = lookup
        self._trails = trails
        self._aliases = aliases
        self._maker = maker
        self._notes = notes
        self._public_keys = public_keys
        self._tickets = Tickets()

    def begin(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket that is good for one attempt, until AWS says that its token expires.

        Raises:
            CapabilityUnsupported: the key cannot be imported, not by this method, or not as an exportable one.
            OutcomeUnknown: no answer came; the same call, or a look for the label, ends what was made.
        """
        method = request.method or RSA_AES_KEY_WRAP_SHA256
        _require_importable(request, method)
        label = request.label
        begun = self.end_unanswered(label)
        self._notes.write(label)
        try:
            found, _ = self._maker.make_empty(label, request.algorithm)
        except OutcomeUnknown:
            raise
        except KeyclaveError:  # and not an interrupt, which may come after the request
            self._forget(label, begun=begun)
            raise
        try:
            return settled(lambda: self._ticket(request, method, found.arn, begun=begun))
        except BaseException:
            if self._discard(found.arn):
                self._forget(label, begun=begun)
            raise

    def end_unanswered(self, label: KeyLabel) -> bool:
        """Schedule the deletion of the empty keys with this label that have no ticket here; return whether to look.

        There is only something to look for where an import, or a creation, was begun and not finished. What is
        shown late is found by the next look: the note stays.
        """
        begun = self._notes.has(label)
        if begun:
            kept = self._tickets.keys()
            for found in self._lookup.labelled(label):
                if found.state == "PendingImport" and found.arn not in kept:
                    self._discard(found.arn)
        return begun

    def finish(self, ticket: ImportTicket, wrapped: WrappedKey) -> Made:
        """Give the empty key its material, look at it, and set its alias.

        Raises:
            InvalidArgument: the ticket or the wrapped key is no good.
            KeyAlreadyExists: there is a key of this label.
            KeyNotFound: somebody has ended the import.
            OutcomeUnknown: no answer came.
        """
        key, good = self._tickets.take(ticket)
        label = ticket.request.label
        try:
            _require_good(ticket, wrapped, good=good)
            trail = self._free_trail(label, begun=key.begun)
            self._notes.write(label)  # that of the ticket may be gone, with another one's import
            made = self._import(ticket.request, key, wrapped.blob, trail)
        except OutcomeUnknown:
            raise  # a look for the label finds the key by its tags, whether it has its material now or not
        except BaseException:
            if self._discard(key.arn):
                self._forget(label, begun=key.begun)
            raise
        self._notes.remove(label)
        return made

    def close(self) -> None:
        """End all tickets; their empty keys are scheduled to be deleted."""
        for ticket, key in self._tickets.clear():
            if self._discard(key.arn):
                self._forget(ticket.request.label, begun=key.begun)

    def _ticket(self, request: ImportKeyRequest, method: str, arn: str, *, begun: bool) -> ImportTicket:
        def parameters(kms: KMSClient) -> ImportTicket:
            answer = kms.get_parameters_for_import(
                KeyId=arn, WrappingAlgorithm=IMPORT_METHODS[method], WrappingKeySpec="RSA_4096"
            )
            require_same_key(answer, arn)
            ticket = ImportTicket(
                ticket_id=new_ticket_id(),
                request=request,
                method=method,
                wrapping_public_key=answer["PublicKey"],
                expires_at=answer["ParametersValidTo"].astimezone(UTC),
            )
            return self._tickets.issue(ticket, EmptyKey(arn=arn, token=answer["ImportToken"], begun=begun))

        return self._kms.ask(parameters)

    def _import(self, request: ImportKeyRequest, key: EmptyKey, blob: bytes, trail: Trail) -> Made:
        def fill(kms: KMSClient) -> str | None:
            answer = kms.import_key_material(
                KeyId=key.arn,
                ImportToken=key.token,
                EncryptedKeyMaterial=blob,
                ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
            )
            require_same_key(answer, key.arn)
            return reference_of(answer)

        try:
            reference = self._kms.change(fill)
        except DecryptionFailed:
            raise InvalidArgument("the wrapped key cannot be unwrapped") from None
        except Conflict as error:
            raise self._lookup.explained(key.arn, error) from None
        found = settled(lambda: self._lookup.require_usable(key.arn, request.algorithm))
        check_public_key(
            self._public_keys.read(found.reference(request.label)), get_algorithm(request.algorithm).name
        )
        if self._aliases.lead(request.label, found, trail).arn != key.arn:
            raise _exists()
        return found, reference

    def _free_trail(self, label: KeyLabel, *, begun: bool) -> Trail:
        """Return where the aliases of a label lead; refuse one with a key, even one from an unanswered import."""
        found, trail = self._trails.end(label, begun=begun)
        if found is not None:
            raise _exists()
        return trail

    def _forget(self, label: KeyLabel, *, begun: bool) -> None:
        """Remove the note of an import that left nothing; what an earlier call made may still show up."""
        if not begun:
            self._notes.remove(label)

    def _discard(self, arn: str) -> bool:
        """Schedule the deletion of a key that nobody has seen; return whether that went well."""
        with suppress(KeyclaveError):
            schedule(self._kms, arn, SHORTEST)
            return True
        return False


def _exists() -> KeyAlreadyExists:
    return KeyAlreadyExists("a key of this label exists")


def _require_good(ticket: ImportTicket, wrapped: WrappedKey, *, good: bool) -> None:
    if not good:
        raise refused_ticket()
    if wrapped.method != ticket.method:
        raise InvalidArgument(f"the ticket asks for a key wrapped by {ticket.method}")
    if not 1 <= len(wrapped.blob) <= _WRAPPED_BYTES:
        raise InvalidArgument(f"the wrapped key must have 1 to {_WRAPPED_BYTES} bytes")


def _require_importable(request: ImportKeyRequest, method: str) -> None:
    if request.exportable:
        raise CapabilityUnsupported("AWS KMS releases no key")
    if get_algorithm(request.algorithm).family not in IMPORTABLE:
        raise CapabilityUnsupported(
            f"AWS KMS does not say that it takes keys of algorithm {request.algorithm} from elsewhere",
            next_step="Rotate to a key that is made in AWS KMS, and keep the old one where it is.",
        )
    if method not in IMPORT_METHODS:
        raise CapabilityUnsupported(f"AWS KMS takes no keys wrapped by {method}")
