"""Changes of keys that another process makes while it can write nothing, as on a full disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial

from keyclave.errors import CapabilityUnsupported, KeyclaveError, KeyDisabled, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import KeyLabel, KeyReference, Record

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.importing import importable, wrapped
from keyclave_contract_tests.lineages import in_version
from keyclave_contract_tests.originals import secret_of
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.uses import works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, type_name
from keyclave_contract_tests.waiting import eventually

__all__ = ["Change", "Condition", "changes", "condition", "judge", "without_space"]

Call = Callable[[], object]


class Condition(StrEnum):
    """What became of a key.

    Attributes:
        GONE: no key of its label is found.
        WORKS: it is found and can be used.
        DISABLED: it is found and refused.
    """

    GONE = "it is gone"
    WORKS = "it works"
    DISABLED = "it is disabled"


class Change(Record, frozen=True, kw_only=True):
    """One change of one key.

    Attributes:
        what: the change, as the subject of a sentence.
        prepared: takes a `Subject`, does what may be done before, and returns the call that changes the key.
        label: of the key.
        before: what the key is before.
        after: what it is once the change is made.
        spki: its public key; ``None`` where it is not known before.
    """

    what: str
    prepared: Callable[[Subject], Call]
    label: KeyLabel
    before: Condition
    after: Condition
    spki: bytes | None = None


def changes(bench: Bench, algorithm: str, kept: Key) -> Iterator[Change]:
    """Return every change that the backend can make, each of a key of its own; ``kept`` gets a second version."""
    for what, label in (
        ("creating a key", bench.label()),
        ("making a new version of a key", in_version(bench, kept.reference.label, 2)),
    ):
        call = partial(_creating, label, algorithm)
        yield Change(what=what, prepared=call, label=label, before=Condition.GONE, after=Condition.WORKS)
    if bench.subject.has("import_key"):
        yield from _import(bench)
    if bench.subject.has("disable_key") and bench.subject.has("enable_key"):
        yield from _switches(bench, algorithm)
    yield _of("destroying a key", _destroying, bench.make(algorithm), Condition.WORKS, Condition.GONE)


def without_space(subject: Subject, todo: Sequence[Change]) -> list[object]:
    """Make changes in a process that can write no byte into a file, and return what each returned or raised."""
    import resource  # noqa: PLC0415  it is not there on every system

    calls = [change.prepared(subject) for change in todo]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    return [_outcome(call) for call in calls]


def judge(bench: Bench, subject: Subject, change: Change, outcome: object) -> Condition:
    """Return what a key is after a change; ``outcome`` is what the change returned or raised.

    Raises:
        Violation: the key is neither as before nor as it should be after the change, or the outcome says otherwise.
    """
    failed = isinstance(outcome, Exception)
    if failed and not isinstance(outcome, KeyclaveError):
        raise Violation(f"when nothing could be written, {change.what} raised {type(outcome).__name__}")
    right = {change.before, change.after} if failed else {change.after}
    if not eventually(lambda: condition(bench, subject, change) in right):
        found = condition(bench, subject, change)
        if failed:
            raise Violation(f"after {change.what} while nothing could be written, {found}")
        raise Violation(f"{change.what} was reported as done while nothing could be written, and {found}")
    return condition(bench, subject, change)


def condition(bench: Bench, subject: Subject, change: Change) -> Condition:
    """Return what the key of a change is, once it was found and used.

    Raises:
        Violation: it is half there, or another key than it was.
    """
    try:
        reference = subject.find_key(change.label)
        public = subject.public_key(reference) if get_algorithm(reference.algorithm).signs else b""
        expect(
            change.spki in {None, public}, f"after {change.what} while nothing could be written, it is another key"
        )
        works(bench, Key(reference=reference, spki=public), subject)
    except KeyNotFound:
        return Condition.GONE
    except KeyDisabled:
        return Condition.DISABLED
    except KeyclaveError as error:
        raise Violation(
            f"after {change.what} while nothing could be written, a key is neither there nor gone: "
            f"using it raised {type_name(error)}"
        ) from error
    return Condition.WORKS


def _import(bench: Bench) -> Iterator[Change]:
    try:
        algorithm = importable(bench)
    except Unsupported:
        return
    label = bench.label()
    call = partial(_importing, label, algorithm, secret_of(algorithm))
    yield Change(what="importing a key", prepared=call, label=label, before=Condition.GONE, after=Condition.WORKS)


def _switches(bench: Bench, algorithm: str) -> Iterator[Change]:
    on, off = bench.make(algorithm), bench.make(algorithm)
    try:
        bench.subject.disable_key(off.reference)
    except CapabilityUnsupported:
        return
    yield _of("disabling a key", _disabling, on, Condition.WORKS, Condition.DISABLED)
    yield _of("enabling a key", _enabling, off, Condition.DISABLED, Condition.WORKS)


def _of(
    what: str, call: Callable[[KeyReference, Subject], Call], key: Key, before: Condition, after: Condition
) -> Change:
    prepared = partial(call, key.reference)
    return Change(what=what, prepared=prepared, label=key.reference.label, before=before, after=after, spki=key.spki)


def _creating(label: KeyLabel, algorithm: str, subject: Subject) -> Call:
    return partial(subject.create_key, label, algorithm)


def _importing(label: KeyLabel, algorithm: str, secret: bytes, subject: Subject) -> Call:
    ticket = subject.begin_import(label, algorithm)
    return partial(subject.import_key, ticket, wrapped(secret, ticket))


def _disabling(key: KeyReference, subject: Subject) -> Call:
    return partial(subject.disable_key, key)


def _enabling(key: KeyReference, subject: Subject) -> Call:
    return partial(subject.enable_key, key)


def _destroying(key: KeyReference, subject: Subject) -> Call:
    return partial(subject.destroy_key, key)


def _outcome(call: Call) -> object:
    try:
        return call()
    except Exception as error:
        return error
