"""Everything that a key can be used for, to see that it works, or that all of it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from keyclave.errors import KeyclaveError, KeyDisabled, KeyNotFound
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyLabel, KeyReference

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Target
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.waiting import SECONDS, eventually
from keyclave_contract_tests.wrapping_keys import wrapping_spki

__all__ = ["any_algorithm", "attempt", "elsewhere", "made_exportable", "refused_soon", "works"]

_MESSAGE = b"to see that the key works"


def any_algorithm(bench: Bench) -> str:
    """Return the algorithm whose keys are made fastest, those that sign first.

    Raises:
        Unsupported: the backend describes no algorithm at all.
    """
    name = bench.cheapest(signs=True) or bench.cheapest(signs=False)
    if name is None:
        raise Unsupported("describe", "the backend describes no algorithm")
    return name


def made_exportable(bench: Bench, algorithm: str) -> Key | None:
    """Return a new key that may be wrapped; ``None`` where the backend makes or wraps none of this algorithm."""
    if not bench.subject.has("wrap_key"):
        return None
    try:
        return bench.make(algorithm, exportable=True)
    except Unsupported:
        return None


def works(bench: Bench, key: Key, subject: Subject | None = None, message: bytes = _MESSAGE) -> None:
    """Use a key: sign and let the oracle judge, or encrypt and decrypt.

    Raises:
        Violation: what it made is wrong.
    """
    subject = subject or bench.subject
    if key.spki:
        if subject.has("sign"):
            bench.signs(key, message, bench.scheme(key.reference.algorithm), subject)
    elif subject.has("encrypt") and subject.has("decrypt"):
        ciphertext = subject.encrypt(key.reference, message)
        expect(subject.decrypt(key.reference, ciphertext) == message, "what it encrypted decrypts to something else")


def attempt(
    bench: Bench, key: Key, target: Target, *, uses_only: bool = False, subject: Subject | None = None
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return every use that the backend has for a key, as the subject of a sentence and the call."""
    subject, reference = subject or bench.subject, key.reference
    if target.algorithm is not None and target.algorithm.schemes:
        scheme = target.algorithm.schemes[0]
        if subject.has("sign"):
            data = oracle.as_input(_MESSAGE, scheme)
            yield "signing", lambda: subject.sign(reference, data, scheme.scheme)
        if subject.has("public_key") and not uses_only:
            yield "asking for the public key", lambda: subject.public_key(reference)
    elif subject.has("encrypt"):
        yield "encrypting", lambda: subject.encrypt(reference, _MESSAGE)
        yield "decrypting", lambda: subject.decrypt(reference, bytes(60))
    if subject.has("wrap_key") and not uses_only:
        yield "wrapping", lambda: subject.wrap_key(reference, wrapping_spki(), RSA_AES_KEY_WRAP_SHA256)


def elsewhere(reference: KeyReference, label: KeyLabel) -> KeyReference:
    """Return the address that a key of another label could have: the last part of it is another one."""
    tail = "0123456789abcdef"
    uri = "".join(tail[(tail.index(c) + 1) % 16] if c in tail else c for c in reference.uri[-8:])
    return KeyReference(label=label, uri=reference.uri[:-8] + uri, algorithm=reference.algorithm)


def refused_soon(bench: Bench, key: Key, which: str) -> None:
    """Expect that every use of a key is refused within seconds; ``which`` says what became of it elsewhere.

    Raises:
        Violation: one goes on working, or is refused for a reason that is not the state of the key.
    """
    support = next(s for s in bench.subject.description.algorithms if s.algorithm == key.reference.algorithm)
    for use, call in attempt(bench, key, Target(algorithm=support), uses_only=True):
        what = f"{use} with a key {which}"
        expect(eventually(partial(_raises, call)), f"{what} still works after {SECONDS:g} s")
        refused((KeyNotFound, KeyDisabled), what, call)


def _raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except KeyclaveError:
        return True
    return False
