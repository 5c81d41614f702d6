"""What is not exactly a good key, wrapped as its ticket says, is refused when it is imported, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from keyclave.errors import (
    CapabilityUnsupported,
    InvalidArgument,
    KeyStateError,
)
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256, ImportTicket, KeyLabel
from msgspec import structs

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bad_keys import bad_keys
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.importing import bring, importable, ticket_for, wrapped
from keyclave_contract_tests.one_error import OneError
from keyclave_contract_tests.originals import secret_of
from keyclave_contract_tests.uses import works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_IMPORT = ("begin_import", "import_key")
_MESSAGE = b"what a key encrypted before an import"
_REFUSED = (KeyStateError, InvalidArgument, CapabilityUnsupported)
_FUNCTIONS = (hashes.SHA256(), hashes.SHA1())  # noqa: S303  the second where it must be refused
_OTHER_PADDINGS: Mapping[str, Callable[[hashes.HashAlgorithm, hashes.HashAlgorithm], padding.OAEP]] = {
    "another hash function": lambda right, wrong: padding.OAEP(padding.MGF1(wrong), wrong, None),
    "a mask made with another hash function": lambda right, wrong: padding.OAEP(padding.MGF1(wrong), right, None),
    "a label": lambda right, wrong: padding.OAEP(padding.MGF1(right), right, b"label"),
}


@check(52, group=Group.WRAP, level=Level.WRAP, calls=11, keys=1, needs=_IMPORT, optional=("begin_import",))
def padding_is_the_named_one(bench: Bench, target: Target) -> None:
    """A key is imported only if hash, mask function and label of its OAEP are those of the method of the ticket."""
    algorithm = importable(bench)
    for what, other in _OTHER_PADDINGS.items():
        label = bench.label()
        ticket = ticket_for(bench, label, algorithm)
        right, wrong = _FUNCTIONS if ticket.method == RSA_AES_KEY_WRAP_SHA256 else _FUNCTIONS[::-1]
        oaep = other(right, wrong)
        blob = wrapped(secret_of(algorithm), ticket, oaep=oaep)
        refused(
            InvalidArgument, f"importing a key whose OAEP has {what}", partial(bench.subject.import_key, ticket, blob)
        )
        _nothing_is_left(bench, label, "importing a key with another OAEP")
    bench.destroy(bring(bench, algorithm, secret_of(algorithm)))


@check(53, group=Group.WRAP, level=Level.WRAP, calls=10, needs=_IMPORT, optional=("begin_import",), security=True)
def padding_is_no_oracle(bench: Bench, target: Target) -> None:
    """A wrapped key that cannot be unwrapped is refused with one error, whichever of its layers is wrong."""
    algorithm = importable(bench)
    secret, label = secret_of(algorithm), bench.label()
    error = OneError(InvalidArgument)
    for what, spoil in _layers():
        ticket = ticket_for(bench, label, algorithm)
        blob = spoil(secret, ticket)
        error.expect(f"importing a key {what}", partial(bench.subject.import_key, ticket, blob))
    bench.journal.gone(label)


@check(57, group=Group.WRAP, level=Level.WRAP, calls=36, needs=_IMPORT, optional=("begin_import",))
def damaged_blob_is_refused(bench: Bench, target: Target) -> None:
    """A wrapped key that was changed, cut, extended, or made for another ticket is refused and leaves nothing."""
    algorithm = importable(bench)
    label = bench.label()
    for what, blob, ticket in _damaged(bench, label, algorithm):
        bench.example = what
        refused(InvalidArgument, f"importing a wrapped key {what}", partial(bench.subject.import_key, ticket, blob))
        _nothing_is_left(bench, label, "importing a damaged key")
    bench.example = None
    bench.journal.gone(label)


@check(
    58, group=Group.WRAP, level=Level.WRAP, calls=10, keys=2, needs=_IMPORT, optional=("begin_import",), security=True
)
def import_widens_nothing(bench: Bench, target: Target) -> None:
    """An imported key may do what its ticket says and no more; a ticket is good once, and only as it was issued."""
    algorithm = importable(bench)
    secret, label = secret_of(algorithm), bench.label()
    ticket = ticket_for(bench, label, algorithm)
    expect(ticket.request.exportable is False, "a ticket for a key that is not exportable says that it is")
    blob = wrapped(secret, ticket)
    widened = structs.replace(ticket, request=structs.replace(ticket.request, exportable=True))
    refused(_REFUSED, "importing with a ticket that was changed", lambda: bench.subject.import_key(widened, blob))
    expect(not bench.exists(label), "a changed ticket was refused, and a key was left behind")
    ticket = ticket_for(bench, label, algorithm)
    blob = wrapped(secret, ticket)
    made = bench.subject.import_key(ticket, blob)
    expect(made.exportable is False, "a key that was imported as not exportable is exportable")
    key = bench.made(made)
    if bench.subject.has("wrap_key"):
        for method in (RSA_AES_KEY_WRAP_SHA256, RSA_AES_KEY_WRAP_SHA1):
            wrap = partial(bench.subject.wrap_key, key.reference, wrapping_spki(), method)
            refused(CapabilityUnsupported, "wrapping a key that was imported as not exportable", wrap)
    bench.destroy(key)
    refused(_REFUSED, "importing with a ticket that was used", lambda: bench.subject.import_key(ticket, blob))
    expect(not bench.exists(label), "a used ticket was refused, and a key was left behind")


@check(
    60, group=Group.WRAP, level=Level.WRAP, calls=9, keys=1, needs=_IMPORT, optional=("begin_import",), security=True
)
def import_replaces_nothing(bench: Bench, target: Target) -> None:
    """Importing under the label of a key that exists is refused, and neither replaces it nor makes it exportable."""
    algorithm = importable(bench)
    label = bench.label()
    key = bench.make(algorithm, label=label)
    proof = bench.subject.encrypt(key.reference, _MESSAGE) if not key.spki and bench.subject.has("encrypt") else b""

    def replace() -> None:
        try:
            ticket = bench.subject.begin_import(bench.version(label), algorithm, exportable=True)
        except CapabilityUnsupported:  # it releases no key, and so promises nothing
            ticket = ticket_for(bench, bench.version(label), algorithm)
        bench.subject.import_key(ticket, wrapped(secret_of(algorithm), ticket))

    with suppress(Unsupported):  # refused before the ticket, which is as good
        refused(_REFUSED, "importing over a key that exists", replace)
    try:
        again = bench.subject.create_key(label, algorithm)
    except KeyStateError as error:
        raise Violation(f"after a refused import, creating the key again raised {type_name(error)}") from None
    expect(again.exportable is False, "an import made a key exportable that was not")
    expect((again.public_key or b"") == key.spki, "an import replaced a key that existed")
    if proof:
        expect(bench.subject.decrypt(key.reference, proof) == _MESSAGE, "an import replaced a key that existed")
    bench.destroy(key)


@check(
    64, group=Group.WRAP, level=Level.WRAP, per=Per.ALGORITHM, calls=24, needs=_IMPORT, optional=("begin_import",),
    security=True,
)  # fmt: skip
def bad_key_is_refused(bench: Bench, target: Target) -> None:
    """A key that is malformed, weak, or of another kind is refused when it is imported, and leaves nothing behind."""
    label = bench.label()
    for bad in bad_keys(target.name):
        bench.example = f"a key {bad.what}"
        ticket = ticket_for(bench, label, target.name)
        blob = wrapped(bad.secret, ticket)
        if bad.meant:
            _refused_or_meant(bench, ticket, blob, bad.what, bad.meant)
        else:
            what = f"importing a key {bad.what}"
            refused(InvalidArgument, what, partial(bench.subject.import_key, ticket, blob))
        _nothing_is_left(bench, label, "importing a bad key")
    bench.example = None
    bench.journal.gone(label)


def _layers() -> Iterator[tuple[str, Callable[[bytes, ImportTicket], bytes]]]:
    """Return ways to wrap a key wrongly, each in another layer: what is wrong, and a function that does it."""

    def flipped(secret: bytes, ticket: ImportTicket, place: int) -> bytes:
        return _flip(wrapped(secret, ticket), place)

    yield "whose integrity check is wrong", partial(flipped, place=-1)
    yield "whose RSA ciphertext was changed", partial(flipped, place=20)
    yield "whose RSA ciphertext has another padding", _under_pkcs1


def _under_pkcs1(secret: bytes, ticket: ImportTicket) -> bytes:
    """Return a key whose AES key is encrypted by PKCS #1 v1.5."""
    public_key = oracle.load(ticket.wrapping_public_key)
    kek = bytes(32)
    sealed: bytes = public_key.encrypt(kek, padding.PKCS1v15())
    return sealed + wrapped(secret, ticket, kek=kek)[public_key.key_size // 8 :]


def _damaged(bench: Bench, label: KeyLabel, algorithm: str) -> Iterator[tuple[str, bytes, ImportTicket]]:
    """Return damaged wrapped keys, each with a ticket of its own."""
    secret = secret_of(algorithm)
    ticket = ticket_for(bench, label, algorithm)
    other = wrapped(secret, structs.replace(ticket, wrapping_public_key=wrapping_spki()))
    size = oracle.load(ticket.wrapping_public_key).key_size // 8
    changes: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("with a changed bit in its RSA ciphertext", lambda blob: _flip(blob, size // 2)),
        ("with a changed bit in its integrity check", lambda blob: _flip(blob, size)),
        ("with a changed bit in its middle", lambda blob: _flip(blob, size + 12)),
        ("with a changed last bit", lambda blob: _flip(blob, -1)),
        ("without its last byte", lambda blob: blob[:-1]),
        ("without its last block", lambda blob: blob[:-8]),
        ("with a block after it", lambda blob: blob + bytes(8)),
        ("that is only its RSA ciphertext", lambda blob: blob[:size]),
        ("of no bytes", lambda blob: b""),
        ("for another ticket", lambda blob: other),
        ("in clear", lambda blob: secret),
    )
    for what, change in changes:
        ticket = ticket_for(bench, label, algorithm)
        yield what, change(wrapped(secret, ticket)), ticket


def _flip(blob: bytes, place: int) -> bytes:
    changed = bytearray(blob)
    changed[place] ^= 1
    return bytes(changed)


def _refused_or_meant(bench: Bench, ticket: ImportTicket, blob: bytes, what: str, meant: bytes) -> None:
    """Expect a refusal, or that what was made is the key that is left if the wrong part is ignored."""
    try:
        made = bench.made(bench.subject.import_key(ticket, blob))
    except InvalidArgument:
        return
    expect(made.spki == meant, f"importing a key {what} made a key of another public key")
    works(bench, made)
    bench.destroy(made)


def _nothing_is_left(bench: Bench, label: KeyLabel, what: str) -> None:
    expect(not bench.exists(label), f"{what} was refused, and a key was left behind")
