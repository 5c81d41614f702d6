"""A public key in the token as DER SubjectPublicKeyInfo (RFC 5280), and back."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave.crypto.algorithms import PublicKey, load_public_key
from keyclave.errors import IntegrityError, InvalidArgument
from pkcs11 import Object
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KeyType

from keyclave_pkcs11_hsm.templates import Template

__all__ = ["EC_PARAMETERS", "ED25519_PARAMETERS", "public_attributes", "read_spki", "rsa_spki", "to_spki"]

# Object identifiers in DER: secp256r1 and secp384r1 (RFC 5480, section 2.1.1.1), id-Ed25519 (RFC 8410, section 3).
EC_PARAMETERS = {256: bytes.fromhex("06082a8648ce3d030107"), 384: bytes.fromhex("06052b81040022")}
ED25519_PARAMETERS = bytes.fromhex("06032b6570")
_CURVES: dict[bytes, ec.EllipticCurve] = {EC_PARAMETERS[256]: ec.SECP256R1(), EC_PARAMETERS[384]: ec.SECP384R1()}
_OCTET_STRING = 0x04
_ED25519_BYTES = 32


def read_spki(found: Object) -> bytes:
    """Return what a public key object holds.

    Raises:
        IntegrityError: it is no RSA, NIST or Ed25519 key that Keyclave knows.
    """
    try:
        return to_spki(_load(found))
    except (ValueError, KeyError, InvalidArgument):
        pass
    raise IntegrityError("a public key in the token cannot be read")


def rsa_spki(found: Object) -> bytes:
    """Return the public half of an RSA key, from an object of either half."""
    modulus = int.from_bytes(found[Attribute.MODULUS], "big")
    exponent = int.from_bytes(found[Attribute.PUBLIC_EXPONENT], "big")
    return to_spki(rsa.RSAPublicNumbers(exponent, modulus).public_key())


def to_spki(key: PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key of `cryptography` as DER SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_attributes(spki: bytes) -> Template:
    """Return the attributes that make a public key object of a key."""
    key = load_public_key(spki)
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.MODULUS: _bytes(numbers.n),
            Attribute.PUBLIC_EXPONENT: _bytes(numbers.e),
        }
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        parameters = EC_PARAMETERS[key.curve.key_size]
        return {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: parameters, Attribute.EC_POINT: _octets(point)}
    point = key.public_bytes_raw()
    return {
        Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
        Attribute.EC_PARAMS: ED25519_PARAMETERS,
        Attribute.EC_POINT: _octets(point),
    }


def _load(found: Object) -> PublicKey:
    kind = found[Attribute.KEY_TYPE]
    if kind is KeyType.RSA:
        return load_public_key(rsa_spki(found))
    point = found[Attribute.EC_POINT]
    if kind is KeyType.EC_EDWARDS:
        return ed25519.Ed25519PublicKey.from_public_bytes(_bare(point, _ED25519_BYTES))
    curve = _CURVES[found[Attribute.EC_PARAMS]]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, _bare(point, 1 + 2 * ((curve.key_size + 7) // 8)))


def _bare(point: bytes, size: int) -> bytes:
    """Return a point of a known size without the OCTET STRING around it, which some tokens leave out."""
    return point[2:] if len(point) == size + 2 and point[0] == _OCTET_STRING else point


def _octets(point: bytes) -> bytes:
    return bytes((_OCTET_STRING, len(point))) + point


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
