"""A key in a backend as a private key of the `cryptography` library.

The object derives from that library's own base class, so that whatever takes one takes it: certificates, signing
requests and revocation lists (`cryptography.x509`), PKCS#7 signatures, SSH certificates, and PyJWT. Each ``sign``
runs in the backend; the public key is a plain one of the library.

What needs the key itself cannot work: ``private_bytes`` and ``private_numbers``, decryption and key exchange,
PKCS#12, PyJWT's ``to_jwk`` of the private key (use the public key), and TLS, since Python's `ssl` module takes a
private key as a file only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keyclave.errors import InvalidArgument
from keyclave.integrations.backend_key import BackendKey, Sign
from keyclave.integrations.ec_keys import BackendECKey
from keyclave.integrations.message_keys import BackendEd25519Key, BackendMLDSA65Key
from keyclave.integrations.rsa_keys import BackendRSAKey
from keyclave.models.algorithms import AlgorithmFamily, get_algorithm

__all__ = ["BackendKey", "Sign", "private_key"]

_CLASSES: dict[AlgorithmFamily, Callable[..., BackendKey]] = {
    AlgorithmFamily.RSA: BackendRSAKey,
    AlgorithmFamily.EC: BackendECKey,
    AlgorithmFamily.ED25519: BackendEd25519Key,
    AlgorithmFamily.ML_DSA: BackendMLDSA65Key,
}


def private_key(public_key: Any, algorithm_name: str, sign: Sign, *, name: str | None = None) -> BackendKey:
    """Return a private key of the `cryptography` library whose signatures ``sign`` makes.

    Its ``sign`` takes what the library's takes, and passes on what the callable raises. What the key does not sign
    with is refused with ``InvalidArgument``, a ``ValueError``. These work:

    - RSA: PKCS#1 v1.5, or PSS with a salt as long as the digest (``DIGEST_LENGTH``) and MGF1 over the same hash;
      SHA-256, SHA-384 and SHA-512.
    - EC: ``ECDSA(SHA256())`` on P-256 and ``ECDSA(SHA384())`` on P-384, randomised.
    - Ed25519, and ML-DSA-65 without context: the message.

    RSA and EC take ``Prehashed`` too, of a digest. A PSS signature whose salt has another length than asked for is
    dropped, and ``CapabilityUnsupported`` raised: certificates and tokens name the length.
    A copy is the same object, and pickling is refused.

    Args:
        public_key: the public key of `cryptography` that belongs to it.
        algorithm_name: the registered name of the algorithm.
        sign: takes the data, the name of a signature scheme, and whether the data is a digest; returns the
            signature, ECDSA as DER. It raises ``InvalidArgument`` for data that are not bytes, and for a scheme
            that the key does not have, which may be any text.
        name: the name of the key, for errors and ``repr``.

    Raises:
        InvalidArgument: the algorithm is unknown or does not sign.
    """
    algorithm = get_algorithm(algorithm_name)
    made = _CLASSES.get(algorithm.family)
    if made is None:
        raise InvalidArgument(f"a key of algorithm {algorithm.name} is no private key: it encrypts")
    return made(public_key, algorithm, sign, name)
