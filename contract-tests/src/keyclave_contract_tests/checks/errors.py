"""Whatever goes wrong is told by an error of Keyclave that says the right thing, and no more than that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from keyclave.backends.limits import TimeLimits
from keyclave.errors import (
    CapabilityUnsupported,
    DecryptionFailed,
    InvalidArgument,
    KeyclaveError,
    KeyNotFound,
)
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyLabel

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.leaks import leaked
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Violation, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_PRIVATE = b"<what a caller keeps to itself>!"
_LONG = 1 << 20

_Mistake = tuple[str, tuple[type[KeyclaveError], ...], Callable[[], object]]
"""A call as the subject of a sentence, the errors that are right, and the call itself."""
_WRONG = (InvalidArgument, CapabilityUnsupported)


@check(84, group=Group.ERRORS, level=Level.CORE, calls=20, needs=("find_key",))
def failures_are_errors_of_keyclave(bench: Bench, target: Target) -> None:
    """What fails raises the error of Keyclave that its hook names, never an exception of a library."""
    for what, kinds, call in _mistakes(bench):
        refused(kinds, what, call)


@check(85, group=Group.ERRORS, level=Level.CORE, calls=20, needs=("find_key",))
def mistakes_are_not_retryable(bench: Bench, target: Target) -> None:
    """The error for a call that cannot succeed says that repeating it is of no use."""
    for what, _, call in _mistakes(bench):
        error = refused(KeyclaveError, what, call)
        expect(error.retryable is False, f"{what} raised {type(error).__name__} that says it may be repeated")


@check(86, group=Group.ERRORS, level=Level.CORE, calls=5, keys=1, needs=("find_key", "destroy_key"), security=True)
def absence_has_one_error(bench: Bench, target: Target) -> None:
    """A key that never was, one that is gone and one that may belong to others are told by the same error."""
    gone = bench.make(any_algorithm(bench))
    bench.destroy(gone)
    absent = {
        "that was never made": bench.labels.new(),
        "that was destroyed": gone.reference.label,
        "of another instance": bench.labels.new(instance=1),
    }
    for which, label in absent.items():
        refused(KeyNotFound, f"finding a key {which}", partial(bench.subject.find_key, label))


@check(87, group=Group.ERRORS, level=Level.CORE, calls=20, needs=("find_key",), security=True)
def errors_name_the_call_and_no_data(bench: Bench, target: Target) -> None:
    """An error says what happened, on which hook and what to do next, and repeats none of the caller's data."""
    for what, _, call in _mistakes(bench):
        error = refused(KeyclaveError, what, call)
        text = f"{error} {error.next_step} {error!r} {error.args} {vars(error)}"
        form = leaked(_PRIVATE, text)
        expect(form is None, f"{what} raised an error that repeats the caller's data, {form}")
        expect(error.message.strip() and error.next_step.strip(), f"{what} raised an error without words")
        hook = _hook_of(call)
        expect(error.operation == hook, f"{what} raised an error that names {error.operation}, where it was {hook}")


@check(88, group=Group.ERRORS, level=Level.CORE, calls=24, needs=("find_key", "list_keys"))
def mistakes_change_nothing(bench: Bench, target: Target) -> None:
    """After calls that were refused, the backend has the keys that it had, and works."""
    key = bench.key(any_algorithm(bench))
    before = bench.subject.list_keys()
    for what, _, call in _mistakes(bench):
        refused(KeyclaveError, what, call)
        expect(bench.subject.list_keys() == before, f"{what} was refused, and changed the keys of the backend")
    works(bench, key)


@check(89, group=Group.ERRORS, level=Level.CORE, calls=20, needs=("find_key",))
def mistakes_are_refused_in_time(bench: Bench, target: Target) -> None:
    """A refusal comes within the time that Keyclave waits for an answer, also to a very long argument."""
    for what, _, call in (*_mistakes(bench), *_long_mistakes(bench)):
        started = time.perf_counter()
        refused(KeyclaveError, what, call)
        seconds, limit = time.perf_counter() - started, _limits(bench).of(_hook_of(call))
        expect(seconds <= limit, f"{what} was refused after {seconds:.1f} s, where Keyclave waits {limit:g} s")


@check(90, group=Group.ERRORS, level=Level.CORE, calls=9, keys=1, needs=("create_key", "find_key"))
def closing_one_handle_spares_another(bench: Bench, target: Target) -> None:
    """A handle that is closed fails with an error of Keyclave, and another one goes on working, with all its keys."""
    key = bench.key(any_algorithm(bench))
    with bench.another() as other:
        other.describe()
    absent = partial(other.find_key, bench.labels.new())
    refused(KeyclaveError, "finding a key through a closed handle", absent)
    try:
        works(bench, key)
        fresh = bench.make(any_algorithm(bench))
        works(bench, fresh)
        bench.destroy(fresh)
    except KeyclaveError as error:
        raise Violation(f"after another handle was closed, this one raised {type(error).__name__}") from error


def _limits(bench: Bench) -> TimeLimits:
    return TimeLimits().at(bench.subject.description.location)


def _mistakes(bench: Bench) -> Iterator[_Mistake]:
    """Return calls that cannot succeed, as far as the backend has the hooks."""
    absent = bench.labels.new()
    subject = bench.subject
    yield "finding a key that was never made", (KeyNotFound,), partial(subject.find_key, absent)
    if subject.has("list_keys"):
        page = _PRIVATE.decode()
        yield "listing from a page of no backend", (InvalidArgument,), partial(subject.page, page)
    yield from _wrong_creations(bench, absent)
    yield from _wrong_signatures(bench)
    yield from _wrong_ciphertexts(bench)
    if subject.has("begin_import"):
        call = partial(subject.begin_import, absent, "NO_SUCH_ALGORITHM")
        yield "importing a key of no algorithm", _WRONG, call


def _wrong_creations(bench: Bench, label: KeyLabel) -> Iterator[_Mistake]:
    subject = bench.subject
    if subject.has("create_key"):
        yield "creating a key of no algorithm", _WRONG, partial(subject.create_key, label, "NO_SUCH_ALGORITHM")
    if subject.has("wrap_key"):
        key = bench.key(any_algorithm(bench))
        by_none = partial(subject.wrap_key, key.reference, wrapping_spki(), "NO_SUCH_METHOD")
        yield "wrapping a key by no method", _WRONG, by_none
        under_none = partial(subject.wrap_key, key.reference, _PRIVATE, RSA_AES_KEY_WRAP_SHA256)
        yield "wrapping a key under what is no key", _WRONG, under_none


def _wrong_signatures(bench: Bench) -> Iterator[_Mistake]:
    subject, algorithm = bench.subject, bench.cheapest(signs=True)
    if algorithm is None or not subject.has("sign"):
        return
    key = bench.key(algorithm).reference
    yield "signing with no scheme", _WRONG, partial(subject.sign, key, _PRIVATE, "NO_SUCH_SCHEME")


def _wrong_ciphertexts(bench: Bench) -> Iterator[_Mistake]:
    subject, algorithm = bench.subject, bench.cheapest(signs=False)
    if algorithm is None or not subject.has("decrypt"):
        return
    key = bench.key(algorithm).reference
    for name, ciphertext in (
        ("nothing", b""),
        ("a single byte", b"\x00"),
        ("what was never encrypted", _PRIVATE * 3),
    ):
        yield f"decrypting {name}", (DecryptionFailed,), partial(subject.decrypt, key, ciphertext)
    if subject.has("encrypt"):
        changed = bytearray(subject.encrypt(key, _PRIVATE))
        changed[-1] ^= 1
        yield "decrypting a changed ciphertext", (DecryptionFailed,), partial(subject.decrypt, key, bytes(changed))


def _long_mistakes(bench: Bench) -> Iterator[_Mistake]:
    subject, algorithm = bench.subject, bench.cheapest(signs=False)
    if subject.has("list_keys"):
        yield "listing from a very long page", (InvalidArgument,), partial(subject.page, "f" * _LONG)
    if algorithm is not None and subject.has("decrypt"):
        key = bench.key(algorithm).reference
        yield "decrypting a very long text", (DecryptionFailed,), partial(subject.decrypt, key, bytes(_LONG))


def _hook_of(call: Callable[[], object]) -> str:
    """Return the hook that a call is one of."""
    name: str = getattr(call, "func", call).__name__
    return {"page": "list_keys"}.get(name, name)
