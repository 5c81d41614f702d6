"""The records of Wycheproof's files, with the fields that the suite uses.

The formats are the JSON schemas of https://github.com/C2SP/wycheproof, folder ``schemas``. Bytes are hexadecimal in
the files.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

__all__ = [
    "AeadGroup",
    "AeadVector",
    "DecryptionGroup",
    "DecryptionVector",
    "EcdsaGroup",
    "EcdsaP1363Group",
    "Ed25519Group",
    "Hex",
    "KeyWrapGroup",
    "KeyWrapVector",
    "Pkcs1Group",
    "PssGroup",
    "SignatureGroup",
    "SignatureVector",
    "Vector",
    "VectorFile",
    "VectorGroup",
    "Verdict",
    "decode",
]


class Hex(bytes):
    """Bytes that are hexadecimal in the file."""

    __slots__ = ()


class Verdict(StrEnum):
    """What Wycheproof says of a vector.

    Attributes:
        VALID: it must be accepted.
        INVALID: it must be refused.
        ACCEPTABLE: both are right.
    """

    VALID = "valid"
    INVALID = "invalid"
    ACCEPTABLE = "acceptable"


class _FromFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the records; fields that they do not name are passed over."""


class Vector(_FromFile, frozen=True, kw_only=True):
    """What every vector has.

    Attributes:
        tc_id: its number in the file.
        comment: what is special about it; may be empty.
        flags: the kinds of mistakes that it looks for.
        msg: the message, the plaintext or the key that is wrapped.
        result: what it must come to.
    """

    tc_id: int
    comment: str
    flags: tuple[str, ...]
    msg: Hex
    result: Verdict


class SignatureVector(Vector, frozen=True, kw_only=True):
    """A signature ``sig`` over ``msg``."""

    sig: Hex


class DecryptionVector(Vector, frozen=True, kw_only=True):
    """An RSA-OAEP ciphertext of ``msg`` under ``label``."""

    ct: Hex
    label: Hex


class AeadVector(Vector, frozen=True, kw_only=True):
    """An AEAD ciphertext of ``msg`` without its tag, with the key, the nonce and the associated data."""

    key: Hex
    iv: Hex
    aad: Hex
    ct: Hex
    tag: Hex


class KeyWrapVector(Vector, frozen=True, kw_only=True):
    """``msg`` wrapped under ``key``."""

    key: Hex
    ct: Hex


class SignatureGroup(_FromFile, frozen=True, kw_only=True):
    """Signatures under one public key, which is DER SubjectPublicKeyInfo."""

    public_key_der: Hex
    tests: tuple[SignatureVector, ...]


class PssGroup(SignatureGroup, frozen=True, kw_only=True, tag_field="type", tag="RsassaPssVerify"):
    """RSA-PSS, with the hash function of message and MGF1 (such as ``SHA-256``) and the length of the salt."""

    sha: str
    mgf_sha: str
    s_len: int


class Pkcs1Group(SignatureGroup, frozen=True, kw_only=True, tag_field="type", tag="RsassaPkcs1Verify"):
    """RSA PKCS#1 v1.5."""

    sha: str


class EcdsaGroup(SignatureGroup, frozen=True, kw_only=True, tag_field="type", tag="EcdsaVerify"):
    """ECDSA with signatures in DER."""

    sha: str


class EcdsaP1363Group(SignatureGroup, frozen=True, kw_only=True, tag_field="type", tag="EcdsaP1363Verify"):
    """ECDSA with signatures in P1363."""

    sha: str


class Ed25519Group(SignatureGroup, frozen=True, kw_only=True, tag_field="type", tag="EddsaVerify"):
    """Ed25519."""


class DecryptionGroup(_FromFile, frozen=True, kw_only=True, tag_field="type", tag="RsaesOaepDecrypt"):
    """RSA-OAEP ciphertexts under one private key, which is PKCS#8."""

    key_size: int
    sha: str
    mgf_sha: str
    private_key_pkcs8: Hex
    tests: tuple[DecryptionVector, ...]


class AeadGroup(_FromFile, frozen=True, kw_only=True, tag_field="type", tag="AeadTest"):
    """AEAD ciphertexts; sizes are in bits."""

    iv_size: int
    key_size: int
    tag_size: int
    tests: tuple[AeadVector, ...]


class KeyWrapGroup(_FromFile, frozen=True, kw_only=True, tag_field="type", tag="KeywrapTest"):
    """Wrapped keys; the size of the wrapping keys is in bits."""

    key_size: int
    tests: tuple[KeyWrapVector, ...]


VectorGroup: TypeAlias = (
    PssGroup | Pkcs1Group | EcdsaGroup | EcdsaP1363Group | Ed25519Group | DecryptionGroup | AeadGroup | KeyWrapGroup
)


class VectorFile(_FromFile, frozen=True, kw_only=True):
    """One file.

    Attributes:
        algorithm: such as ``ECDSA``.
        number_of_tests: how many vectors it says that it has.
        test_groups: the vectors, by key or size.
    """

    algorithm: str
    number_of_tests: int
    test_groups: tuple[VectorGroup, ...]


def decode(content: bytes) -> VectorFile:
    """Return the records in the JSON of a file; raise ``msgspec.ValidationError`` if it is not of that form."""
    return _DECODER.decode(content)


def _from_hex(wanted: type, value: Any) -> Hex:
    del wanted  # the one type that msgspec does not know itself
    return Hex.fromhex(value)


_DECODER = msgspec.json.Decoder(VectorFile, dec_hook=_from_hex)
