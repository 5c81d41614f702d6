"""Run the vectors of Wycheproof against functions that verify or unwrap, such as Keyclave's own.

The function is passed in, so that a faulty one can be tried as well. A run costs what the function costs; an RSA
private key, whose loading tests its primes, is loaded once a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar, cast

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keyclave.crypto.algorithms import PublicKey, algorithm_of, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.wrapping import generate_wrapping_key
from keyclave.errors import InvalidArgument, InvalidSignature, KeyclaveError, VerificationError
from keyclave.models import get_algorithm
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256
from pydantic import SecretBytes

from keyclave_contract_tests.vectors import load
from keyclave_contract_tests.vectors.groups import (
    DecryptionGroup,
    DecryptionVector,
    EcdsaGroup,
    EcdsaP1363Group,
    KeyWrapGroup,
    Pkcs1Group,
    PssGroup,
    SignatureGroup,
    Vector,
    Verdict,
)
from keyclave_contract_tests.vectors.outcomes import ACCEPTED, REFUSED, Outcome, VectorRun, collect
from keyclave_contract_tests.vectors.verdicts import oaep_verdict, signature_verdict

__all__ = [
    "KEY_WRAP_FILE",
    "OAEP_FILES",
    "SIGNATURE_FILES",
    "BindVerifier",
    "Unwrap",
    "run_key_wrap",
    "run_oaep",
    "run_signatures",
]

Verify: TypeAlias = Callable[[bytes, bytes], None]

BindVerifier: TypeAlias = Callable[[PublicKey, str], Verify]
"""From a public key and a scheme to a function of data and signature, as ``bind_verifier`` of Keyclave."""

Unwrap: TypeAlias = Callable[[bytes, rsa.RSAPrivateKey, str], SecretBytes]
"""From a blob, a private key and a method to the key that was wrapped, as ``unwrap_key`` of Keyclave."""

SIGNATURE_FILES = (
    "rsa_pss_2048_sha256_mgf1_32",
    "rsa_pss_2048_sha384_mgf1_48",
    "rsa_pss_3072_sha256_mgf1_32",
    "rsa_pss_4096_sha384_mgf1_48",
    "rsa_pss_4096_sha512_mgf1_64",
    "rsa_signature_2048_sha256",
    "rsa_signature_3072_sha384",
    "rsa_signature_4096_sha512",
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp256r1_sha256_p1363",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp384r1_sha384_p1363",
    "ed25519",
)
OAEP_FILES = (
    "rsa_oaep_2048_sha256_mgf1sha256",
    "rsa_oaep_3072_sha256_mgf1sha256",
    "rsa_oaep_4096_sha256_mgf1sha256",
)
KEY_WRAP_FILE = "aes_kwp"

G = TypeVar("G")

_KEK_SIZE = 32
_SECRET = bytes(range(40))
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
_Attempt: TypeAlias = tuple[Vector, Verdict, bytes, bytes]


def run_signatures(name: str, bind: BindVerifier) -> VectorRun:
    """Verify the signatures of a file.

    Refusing is to raise ``InvalidSignature``, or ``VerificationError`` for a signature in P1363 that cannot be made
    DER. Any other error is a mismatch, as accepting a wrong signature is.

    Args:
        name: one of `SIGNATURE_FILES`.
        bind: makes the function that verifies.

    Raises:
        InvalidArgument: the file has no signatures, or is not here.
    """
    groups = _groups(name, SignatureGroup)
    return collect(name, (outcome for group in groups for outcome in _verify(group, bind)))


def run_key_wrap(unwrap: Unwrap) -> VectorRun:
    """Unwrap the blobs whose second part are the vectors of AES-KWP (RFC 5649) under keys of 256 bits.

    The first part is made here, under a new RSA key. Refusing is to raise ``InvalidArgument``, always in the same
    words: what was wrong with a blob must not be told.

    Args:
        unwrap: the function that unwraps.
    """
    private_key = generate_wrapping_key()
    public_key = private_key.public_key()
    attempts = (
        (vector, vector.result, public_key.encrypt(vector.key, _OAEP) + vector.ct, vector.msg)
        for group in _groups(KEY_WRAP_FILE, KeyWrapGroup)
        if group.key_size == 8 * _KEK_SIZE
        for vector in group.tests
    )
    return collect(KEY_WRAP_FILE, _unwrap_all(attempts, private_key, unwrap))


def run_oaep(name: str, unwrap: Unwrap) -> VectorRun:
    """Unwrap the blobs whose first part are the vectors of RSA-OAEP (RFC 8017, section 7.1) of a file.

    The second part is made here, under the message of the vector where that is an AES-256 key. Few are: this shows
    above all that every damaged blob is refused, in the same words as `run_key_wrap` says.

    Args:
        name: one of `OAEP_FILES`.
        unwrap: the function that unwraps.

    Raises:
        InvalidArgument: the file has no ciphertexts of RSA-OAEP, or is not here.
    """
    groups = _groups(name, DecryptionGroup)
    return collect(name, (outcome for group in groups for outcome in _decrypt(group, unwrap)))


def _groups(name: str, kind: type[G]) -> tuple[G, ...]:
    groups = tuple(group for group in load(name).test_groups if isinstance(group, kind))
    if not groups:
        raise InvalidArgument(f"the vectors {name} are of another kind")
    return groups


def _verify(group: SignatureGroup, bind: BindVerifier) -> Iterator[Outcome]:
    public_key = load_public_key(group.public_key_der)
    verify = bind(public_key, _scheme(group))
    refusals: tuple[type[KeyclaveError], ...] = (InvalidSignature,)
    if isinstance(group, EcdsaP1363Group):
        verify = _from_p1363(verify, get_algorithm(algorithm_of(public_key)).key_size // 8)
        refusals = (InvalidSignature, VerificationError)
    for vector in group.tests:
        yield vector, signature_verdict(vector), _verified(verify, vector.msg, vector.sig, refusals)


def _scheme(group: SignatureGroup) -> str:
    match group:
        case PssGroup():
            return f"RSA_PSS_{_hash(group.sha)}"
        case Pkcs1Group():
            return f"RSA_PKCS1_{_hash(group.sha)}"
        case EcdsaGroup() | EcdsaP1363Group():
            return f"ECDSA_{_hash(group.sha)}"
        case _:
            return "ED25519"


def _hash(name: str) -> str:
    return name.replace("-", "")


def _from_p1363(verify: Verify, coordinate_size: int) -> Verify:
    return lambda data, signature: verify(data, p1363_to_der(signature, coordinate_size))


def _verified(verify: Verify, data: bytes, signature: bytes, refusals: tuple[type[KeyclaveError], ...]) -> str:
    try:
        verify(data, signature)
    except refusals:
        return REFUSED
    except Exception as error:
        return _raised(error)
    return ACCEPTED


def _decrypt(group: DecryptionGroup, unwrap: Unwrap) -> Iterator[Outcome]:
    key = serialization.load_der_private_key(group.private_key_pkcs8, None)
    attempts = ((vector, oaep_verdict(vector), vector.ct + _second_part(vector), _SECRET) for vector in group.tests)
    return _unwrap_all(attempts, cast("rsa.RSAPrivateKey", key), unwrap)


def _second_part(vector: DecryptionVector) -> bytes:
    kek = vector.msg if len(vector.msg) == _KEK_SIZE else bytes(_KEK_SIZE)
    return keywrap.aes_key_wrap_with_padding(kek, _SECRET)


def _unwrap_all(attempts: Iterable[_Attempt], private_key: rsa.RSAPrivateKey, unwrap: Unwrap) -> Iterator[Outcome]:
    words: set[str] = set()
    for vector, verdict, blob, wanted in attempts:
        try:
            key = unwrap(blob, private_key, RSA_AES_KEY_WRAP_SHA256)
        except InvalidArgument as error:
            words.add(str(error))
            yield vector, verdict, REFUSED if len(words) == 1 else f"refused in other words: {error}"
        except Exception as error:
            yield vector, verdict, _raised(error)
        else:
            yield vector, verdict, ACCEPTED if key.get_secret_value() == wanted else "returned another key"


def _raised(error: Exception) -> str:
    return f"raised {type(error).__name__}"
