"""Backends that import what they must refuse, or say or leave too much when they refuse it."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from keyclave.errors import InvalidArgument
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyReference,
    WrappedKey,
    hookimpl,
)
from keyclave_contract_tests.originals import pkcs8_of
from keyclave_software.loaded import uri_of
from msgspec import structs
from pydantic import SecretBytes

from tests.zoo.fault import fault
from tests.zoo.faults.imports import OwnImport
from tests.zoo.software import ZooSoftware

_SHA1, _SHA256 = hashes.SHA1(), hashes.SHA256()
_P256_BYTES, _P256_VALUE, _P256_POINT = 138, slice(36, 68), slice(73, 138)
"""Where PKCS#8 of a P-256 key has its private value and its point, with the point uncompressed."""


class _Paddings(OwnImport):
    """A right backend that tries one padding after another, of which there is only one."""

    paddings: tuple[padding.OAEP, ...] = (padding.OAEP(mgf=padding.MGF1(_SHA256), algorithm=_SHA256, label=None),)

    def unwrapped(self, wrapped: WrappedKey, wrapping_key: rsa.RSAPrivateKey) -> SecretBytes:
        size = wrapping_key.key_size // 8
        for oaep in self.paddings:
            try:
                kek = wrapping_key.decrypt(wrapped.blob[:size], oaep)
                return SecretBytes(keywrap.aes_key_unwrap_with_padding(kek, wrapped.blob[size:]))
            except (ValueError, keywrap.InvalidUnwrap):
                continue
        raise InvalidArgument("the wrapped key cannot be unwrapped")


@fault({52: "OAEP has another hash function succeeded"})
class AnyHashOfOaep(_Paddings):
    """Tries OAEP with SHA-1 where SHA-256 does not fit."""

    paddings = (*_Paddings.paddings, padding.OAEP(mgf=padding.MGF1(_SHA1), algorithm=_SHA1, label=None))


@fault({52: "mask made with another hash function succeeded"})
class AnyMaskOfOaep(_Paddings):
    """Tries the mask function that some devices are fixed to."""

    paddings = (*_Paddings.paddings, padding.OAEP(mgf=padding.MGF1(_SHA1), algorithm=_SHA256, label=None))


@fault({53: "gives another error"})
class SaysWhichLayerIsWrong(OwnImport):
    """Says whether the padding was wrong or the integrity check."""

    def unwrapped(self, wrapped: WrappedKey, wrapping_key: rsa.RSAPrivateKey) -> SecretBytes:
        try:
            wrapping_key.decrypt(wrapped.blob[: wrapping_key.key_size // 8], _Paddings.paddings[0])
        except ValueError:
            raise InvalidArgument("the padding of the wrapped key is wrong") from None
        return super().unwrapped(wrapped, wrapping_key)


@fault({57: "succeeded"})
class IntegrityOfTheWrapIsNotLookedAt(OwnImport):
    """Unwraps with AES alone (RFC 3394, section 2.2.2), and takes the key from where it should be."""

    def unwrapped(self, wrapped: WrappedKey, wrapping_key: rsa.RSAPrivateKey) -> SecretBytes:
        try:
            return super().unwrapped(wrapped, wrapping_key)
        except InvalidArgument:
            pass
        size = wrapping_key.key_size // 8
        try:
            kek = wrapping_key.decrypt(wrapped.blob[:size], _Paddings.paddings[0])
        except ValueError:
            raise InvalidArgument("the wrapped key cannot be unwrapped") from None
        return SecretBytes(_unwrap_blindly(kek, wrapped.blob[size:])[:32])


def _unwrap_blindly(kek: bytes, blob: bytes) -> bytes:
    whole = blob[: len(blob) // 8 * 8]
    head, blocks = whole[:8], [whole[n : n + 8] for n in range(8, len(whole), 8)]
    cipher = Cipher(algorithms.AES(kek), modes.ECB()).decryptor()
    for turn in range(6 * len(blocks), 0, -1):
        place = (turn - 1) % len(blocks)
        mixed = (int.from_bytes(head, "big") ^ turn).to_bytes(8, "big")
        plain = cipher.update(mixed + blocks[place])
        head, blocks[place] = plain[:8], plain[8:]
    return b"".join(blocks)


@fault({57: "a key was left behind", 64: "a key was left behind"})
class RefusedImportLeavesAKey(ZooSoftware):
    """Makes room for the key before it looks at it."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        try:
            return super().import_key(ticket, wrapped)
        except InvalidArgument:
            self._add(ticket.request, SecretBytes(bytes(32)))
            raise


@fault({58: "says that it is"})
class TicketsAreForExportableKeys(ZooSoftware):
    """Takes it that whoever has a key may have it again."""

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        return super().begin_import(structs.replace(request, exportable=True))


@fault({58: "imported as not exportable is exportable"})
class ImportedKeysAreExportable(OwnImport):
    """Forgets what the ticket says when it writes the key down."""

    def _add(self, request: CreateKeyRequest | ImportKeyRequest, secret: SecretBytes) -> bool:
        forgetful = isinstance(request, ImportKeyRequest)
        return super()._add(structs.replace(request, exportable=True) if forgetful else request, secret)


class _RemembersTickets(ZooSoftware):
    """A right backend that looks a ticket up by its id alone."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.issued: dict[str, tuple[ImportTicket, rsa.RSAPrivateKey]] = {}

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        ticket = super().begin_import(request)
        self.issued[ticket.ticket_id] = ticket, self._tickets._open[ticket.ticket_id][1]
        return ticket


@fault({58: "ticket that was changed succeeded"})
class BelievesTheTicket(_RemembersTickets):
    """Finds the ticket by its id, and believes what else it says."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        known = self.issued.get(ticket.ticket_id)
        if known is not None:
            self._tickets._open[ticket.ticket_id] = ticket, known[1]
            del self.issued[ticket.ticket_id]
        return super().import_key(ticket, wrapped)


@fault({58: "ticket that was used succeeded"})
class TicketsAreGoodForever(_RemembersTickets):
    """Keeps a ticket when it was used."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        if ticket.ticket_id in self.issued:
            self._tickets._open[ticket.ticket_id] = self.issued[ticket.ticket_id]
        return super().import_key(ticket, wrapped)


@fault({60: "over a key that exists succeeded"})
class ImportReplaces(OwnImport):
    """Puts an imported key in the place of the one that is there."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        request = ticket.request
        label = request.label
        super().destroy_key(KeyReference(label=label, uri=uri_of(str(label)), algorithm=request.algorithm))
        return super().import_key(ticket, wrapped)


@fault({60: "refused import, creating the key again raised KeyAlreadyExists"})
class RefusesWhenItHasReplaced(ImportReplaces):
    """Notices too late that there was a key."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        taken = self._keystore.has(uri_of(str(ticket.request.label)).removeprefix("software:"))
        made = super().import_key(ticket, wrapped)
        if taken:
            raise InvalidArgument("a key of this label exists")
        return made


@fault({64: "a key of 31 bytes succeeded"})
class ShortSecretKeysAreFilledUp(OwnImport):
    """Copies a secret key into a buffer of 32 bytes, however long it is."""

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        if algorithm.startswith("AES") and len(secret) < 32:
            secret = SecretBytes(secret.get_secret_value().ljust(32, b"\x00"))
        return super().checked(secret, algorithm)


@fault({64: "not on the curve made a key of another public key"})
class BelievesThePointOfTheKey(OwnImport):
    """Takes the public half of an EC key from the message, and does not look whether it is on the curve."""

    point = b""

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        self.point = b""
        try:
            return super().checked(secret, algorithm)
        except InvalidArgument:
            content = secret.get_secret_value()
            if algorithm != "ECDSA_P256" or len(content) != _P256_BYTES:
                raise
            value, self.point = int.from_bytes(content[_P256_VALUE], "big"), content[_P256_POINT]
        try:
            return SecretBytes(pkcs8_of(ec.derive_private_key(value, ec.SECP256R1())))
        except ValueError:
            raise InvalidArgument("the private value is out of range") from None

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        made = super().import_key(ticket, wrapped)
        if not self.point or made.public_key is None:
            return made
        return structs.replace(made, public_key=made.public_key[:-65] + self.point)


@fault({64: "succeeded|made a key of another public key"})
class ImportsAnyPrivateKey(OwnImport):
    """Keeps whatever private key can be read, of whatever algorithm."""

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        if algorithm.startswith("AES"):
            return super().checked(secret, algorithm)
        try:
            serialization.load_der_private_key(secret.get_secret_value(), None, unsafe_skip_rsa_key_validation=True)
        except Exception:
            raise InvalidArgument("no private key") from None
        return secret
