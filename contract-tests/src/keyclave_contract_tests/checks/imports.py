"""A known key that is imported is that key: it signs, encrypts and goes like one that was made in the backend."""

from __future__ import annotations

from functools import partial

from keyclave.errors import DecryptionFailed, KeyclaveError, KeyNotFound
from keyclave.plugin import Location

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.importing import bring, imported
from keyclave_contract_tests.originals import original, secret_of, spki_of
from keyclave_contract_tests.uses import works
from keyclave_contract_tests.verifying import accepted, verifier
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level

_IMPORT = ("begin_import", "import_key")
_MESSAGE = b"a message for an imported key"


@check(
    22, group=Group.WRAP, level=Level.WRAP, per=Per.SIGNING, calls=4, keys=1, needs=(*_IMPORT, "sign"),
    optional=("begin_import",),
)  # fmt: skip
def imported_key_signs_like_the_original(bench: Bench, target: Target) -> None:
    """Signatures of an imported key and of its original are right under the public key of either."""
    key, scheme = imported(bench, target.name), bench.scheme(target.name)
    private = original(target.name)
    signature = bench.sign(key, _MESSAGE, scheme)
    right = oracle.is_valid(spki_of(private), scheme.scheme, _MESSAGE, signature)
    expect(right, "the signature of an imported key does not verify under the original's public key")
    theirs = private.sign(_MESSAGE, *oracle.verification_arguments(scheme.scheme))
    verify = verifier(bench, key.spki, scheme.scheme)
    accepted(verify, _MESSAGE, theirs, "a signature of the original of an imported key")


@check(
    51, group=Group.WRAP, level=Level.WRAP, per=Per.ENCRYPTING, calls=8, keys=2,
    needs=(*_IMPORT, "encrypt", "decrypt"), optional=("begin_import", "decrypt"),
)  # fmt: skip
def equal_imports_decrypt_each_other(bench: Bench, target: Target) -> None:
    """What one import of a secret key encrypted, another import of the same bytes decrypts, and no other key."""
    one = imported(bench, target.name)
    same, other = (bring(bench, target.name, secret_of(target.name, number)) for number in (0, 1))
    ciphertext = bench.subject.encrypt(one.reference, _MESSAGE)
    expect(bench.subject.decrypt(one.reference, ciphertext) == _MESSAGE, "an imported key decrypts to something else")
    what = "decrypting with the import of other bytes"
    refused(DecryptionFailed, what, lambda: bench.subject.decrypt(other.reference, ciphertext))
    try:
        plaintext = bench.subject.decrypt(same.reference, ciphertext)
    except DecryptionFailed:
        if bench.subject.description.location is not Location.REMOTE:
            raise Violation("two imports of the same bytes do not decrypt each other's ciphertexts") from None
        bench.bound(
            f"Whether an imported key of {target.name} is the one that was sent: its ciphertexts name their key."
        )
        raise Unsupported("decrypt", "ciphertexts of the service belong to one import") from None
    finally:
        bench.destroy(same)
        bench.destroy(other)
    expect(plaintext == _MESSAGE, "another import of the same bytes decrypts to something else")


@check(
    63,
    group=Group.WRAP,
    level=Level.WRAP,
    per=Per.SIGNING,
    calls=3,
    keys=1,
    needs=(*_IMPORT, "find_key"),
    optional=("begin_import",),
)
def imported_key_has_its_public_key(bench: Bench, target: Target) -> None:
    """The public key of an imported key is the one that `cryptography` computes from the original."""
    key, due = imported(bench, target.name), spki_of(original(target.name))
    expect(key.spki == due, "importing returned another public key than the original's")
    expect(key.reference.algorithm == target.name, f"importing returned a key of {key.reference.algorithm}")
    expect(
        bench.subject.find_key(key.reference.label) == key.reference, "an imported key is found at another address"
    )
    if bench.subject.has("public_key"):
        expect(bench.subject.public_key(key.reference) == due, "an imported key has another public key later")


@check(
    65, group=Group.WRAP, level=Level.WRAP, per=Per.ALGORITHM, calls=8, keys=1, needs=(*_IMPORT, "destroy_key"),
    optional=("begin_import",),
)  # fmt: skip
def destroyed_import_is_gone(bench: Bench, target: Target) -> None:
    """An imported key works, and once it is destroyed it is neither found nor listed nor usable."""
    key = bring(bench, target.name, secret_of(target.name))
    works(bench, key)
    bench.destroy(key)
    refused(
        KeyNotFound,
        "finding an imported key that was destroyed",
        partial(bench.subject.find_key, key.reference.label),
    )
    if bench.subject.has("list_keys"):
        expect(key.reference not in bench.subject.list_keys(), "an imported key that was destroyed is listed")
    refused(KeyclaveError, "using an imported key that was destroyed", lambda: works(bench, key))
