"""Operations on key pairs that sign; the signing is that of ``cryptography``."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import Key

__all__ = ["OPERATIONS", "check_dry_run"]

_MU_BYTES = 64
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}


def get_public_key(account: Account, request: Request) -> Answer:
    """Show the public key, as DER of a SubjectPublicKeyInfo, of a key that is enabled."""
    key = account.keyring.find(request["KeyId"])
    if key.spec.secret_bytes is not None:
        raise KmsFailure("UnsupportedOperationException", f"{key.arn} has no public key")
    key.check_usable()
    public = key.material.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "KeyId": key.arn,
        "PublicKey": public,
        "KeySpec": key.spec_name,
        "CustomerMasterKeySpec": key.spec_name if not key.spec_name.startswith("ML_") else None,
        "KeyUsage": key.usage,
        **key.algorithms,
    }


def sign(account: Account, request: Request) -> Answer:
    """Sign a message, a digest, or the representative of a message."""
    key, algorithm = _key(account, request)
    message = request["Message"]
    signature = key.material.sign_mu(message) if _is_mu(request) else key.material.sign(message, *_how(request))
    return {"KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm}


def verify(account: Account, request: Request) -> Answer:
    """Verify a signature; a wrong one is an error."""
    key, algorithm = _key(account, request)
    public, message, signature = key.material.public_key(), request["Message"], request["Signature"]
    try:
        if _is_mu(request):
            public.verify_mu(signature, message)
        else:
            public.verify(signature, message, *_how(request))
    except InvalidSignature:
        raise KmsFailure("KMSInvalidSignatureException") from None
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


def check_dry_run(request: Request) -> None:
    """Raise KmsFailure, as the last check, if nothing is to be done."""
    if request.get("DryRun"):
        raise KmsFailure(
            "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."
        )


def _key(account: Account, request: Request) -> tuple[Key, str]:
    key, algorithm = account.keyring.find(request["KeyId"]), request["SigningAlgorithm"]
    key.check_algorithm("SIGN_VERIFY", algorithm)
    key.check_usable()
    _check_message(request, algorithm)
    check_dry_run(request)
    return key, algorithm


def _check_message(request: Request, algorithm: str) -> None:
    kind, size = request.get("MessageType", "RAW"), len(request["Message"])
    hashed = _HASHES.get(algorithm[-7:]) if not algorithm.startswith("ED25519") else None
    if kind == "DIGEST" and hashed is None:
        raise KmsFailure("ValidationException", f"Algorithm {algorithm} does not take a digest")
    if kind == "DIGEST" and hashed is not None and size != hashed.digest_size:
        raise KmsFailure("ValidationException", f"Digest is invalid length for algorithm {algorithm}.")
    if kind == "EXTERNAL_MU" and (not algorithm.startswith("ML_DSA") or size != _MU_BYTES):
        raise KmsFailure("ValidationException", f"{size} bytes are no EXTERNAL_MU for algorithm {algorithm}.")


def _is_mu(request: Request) -> bool:
    return bool(request.get("MessageType") == "EXTERNAL_MU")


def _how(request: Request) -> tuple[Any, ...]:
    """Return what ``cryptography`` wants to know besides the message."""
    algorithm = request["SigningAlgorithm"]
    if algorithm.startswith(("ED25519", "ML_DSA")):
        return ()
    digest = _HASHES[algorithm[-7:]]
    hashed = utils.Prehashed(digest) if request.get("MessageType") == "DIGEST" else digest
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(hashed),)
    scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if "PSS" in algorithm else padding.PKCS1v15()
    return (scheme, hashed)


OPERATIONS = {"GetPublicKey": get_public_key, "Sign": sign, "Verify": verify}
