"""The content of one key file: a header in the clear and the key encrypted, both authenticated together.

    8   magic ``KCSWKEY1``
    2   length of the header, big endian, at most 1024
    n   header, JSON (`KeyHeader`)
    32  salt, random for each writing
    32  commitment
    12  nonce, random
    m   AES-256-GCM ciphertext of the key, and its tag; everything before it is associated data

HKDF-SHA256 (RFC 5869) of master key and salt, with magic and header as context, gives encryption key and
commitment. The commitment fixes the key before anything is decrypted, which GCM alone does not.
"""

from __future__ import annotations

import hmac
import os
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import IntegrityError
from pydantic import SecretBytes

from keyclave_software.limits import HEADER_BYTES
from keyclave_software.master_key import MasterKey

__all__ = ["KeyHeader", "SealedKey", "open_sealed", "seal"]

_MAGIC = b"KCSWKEY1"
_PREFIX, _SALT, _COMMITMENT, _NONCE, _TAG = len(_MAGIC) + 2, 32, 32, 12, 16
_PURPOSE = b"keyclave software key file\0"


class KeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key file says about its key.

    Attributes:
        format: the version of this format.
        suite: how the file is encrypted.
        label: the key's label, as text.
        algorithm: a name of `keyclave.models.algorithms`.
        exportable: whether ``wrap_key`` may release the key.
        enabled: whether the key may be used.
        created_at: UTC.
    """

    format: Literal[1] = 1
    suite: Literal["HKDF-SHA256-AES-256-GCM"] = "HKDF-SHA256-AES-256-GCM"
    label: str
    algorithm: str
    exportable: bool
    enabled: bool = True
    created_at: datetime


class SealedKey(NamedTuple):
    """A key read from its file: header, and the private key (PKCS#8, DER) or secret key (raw)."""

    header: KeyHeader
    secret: SecretBytes


def seal(key: SealedKey, master: MasterKey) -> bytes:
    """Return the content of the key's file."""
    header = msgspec.json.encode(key.header)
    start = _MAGIC + len(header).to_bytes(2, "big") + header
    salt = os.urandom(_SALT)
    derived = master.derive(salt, _PURPOSE + start, 32 + _COMMITMENT)
    nonce = os.urandom(_NONCE)
    associated = start + salt + derived.get_secret_value()[32:] + nonce
    cipher = AESGCM(derived.get_secret_value()[:32])
    return associated + cipher.encrypt(nonce, key.secret.get_secret_value(), associated)


def open_sealed(content: bytes, master: MasterKey) -> SealedKey:
    """Return the key in a file's content.

    Raises:
        IntegrityError: the content is not what was written under this master key, whatever was changed in it.
    """
    opened = _open(content, master)
    if opened is None:
        raise IntegrityError("a key file is not what was written")
    return opened


def _open(content: bytes, master: MasterKey) -> SealedKey | None:
    header_length = int.from_bytes(content[len(_MAGIC) : _PREFIX], "big")
    start = _PREFIX + header_length
    end = start + _SALT + _COMMITMENT + _NONCE
    if content[: len(_MAGIC)] != _MAGIC or header_length > HEADER_BYTES or len(content) < end + _TAG:
        return None
    salt, commitment = content[start : start + _SALT], content[start + _SALT : end - _NONCE]
    derived = master.derive(salt, _PURPOSE + content[:start], 32 + _COMMITMENT)
    if not hmac.compare_digest(derived.get_secret_value()[32:], commitment):
        return None
    cipher = AESGCM(derived.get_secret_value()[:32])
    try:
        secret = SecretBytes(cipher.decrypt(content[end - _NONCE : end], content[end:], content[:end]))
        return SealedKey(msgspec.json.decode(content[_PREFIX:start], type=KeyHeader), secret)
    except (InvalidTag, msgspec.DecodeError):
        return None
