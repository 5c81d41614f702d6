"""What Keyclave must do with a vector, where that differs from what Wycheproof says of it."""

from __future__ import annotations

from keyclave_contract_tests.vectors.groups import DecryptionVector, SignatureVector, Verdict

__all__ = ["oaep_verdict", "signature_verdict"]

_KEK_SIZE = 32
_OTHER_SALT = "s_len changed to "


def signature_verdict(vector: SignatureVector) -> Verdict:
    """Return what verifying a signature must come to.

    Wycheproof calls a PSS signature invalid whose salt is not as long as the group says, and marks it with the flag
    ``ModifiedSignature`` and a comment such as "s_len changed to 20". For Keyclave these are acceptable. The salt is
    what follows the first octet 01 of the data block (RFC 8017, section 9.1.2, steps 10 and 11), so that a verifier
    can recover its length; Keyclave's does so and says so, and no length makes a forgery easier. Signatures that
    were modified in any other way stay invalid.
    """
    if "ModifiedSignature" in vector.flags and vector.comment.startswith(_OTHER_SALT):
        return Verdict.ACCEPTABLE
    return vector.result


def oaep_verdict(vector: DecryptionVector) -> Verdict:
    """Return what unwrapping must come to where the ciphertext stands for the wrapped AES key.

    RSA-AES key wrap (PKCS#11 2.40, section 2.1.21) takes AES-256 keys and, in Keyclave, the empty label: a valid
    ciphertext of anything else must be refused as well.
    """
    fits = len(vector.msg) == _KEK_SIZE and not vector.label
    return vector.result if fits else Verdict.INVALID
