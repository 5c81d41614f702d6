"""What must stay inside stays inside: key material, plaintexts, and the secrets of the settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from keyclave.errors import CapabilityUnsupported
from keyclave.models import get_algorithm
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.canaries import Canary, bring, canary
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.kept import files
from keyclave_contract_tests.leaks import SHORTEST, leaked, leaked_as_number
from keyclave_contract_tests.overhearing import Watch, watching
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.uses import any_algorithm, attempt, works
from keyclave_contract_tests.violations import Unsupported, expect
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_FRAMES = "a local variable of a traceback"


@check(
    115,
    group=Group.REDACTION,
    level=Level.CORE,
    calls=30,
    keys=2,
    needs=("create_key",),
    optional=("begin_import",),
    security=True,
)
def keys_and_plaintexts_stay_inside(bench: Bench, target: Target) -> None:
    """No log, warning, print, error, traceback, text, attribute, pickle or other program gets a key or plaintext."""
    if not (bench.subject.has("begin_import") or bench.subject.has("encrypt")):
        raise Unsupported("begin_import", "no key is imported and nothing encrypted, so no secret is known")
    plaintext = secrets.token_bytes(32)
    with watching() as watch:
        watch.told(lambda: bench.destroy(bench.make(any_algorithm(bench))))
        known = _imported(bench, watch)
        if known is None:
            bench.bound("The backend imports no keys, so key material could not be looked for in logs and errors.")
        else:
            _life_of(bench, *known, watch)
        _encryption(bench, plaintext, watch)
        watch.shown("the backend", bench.subject.target)
    if known is not None:
        _expect_none(watch, "key material", [known[0].secret])
        _expect_none(watch, "key material", [known[0].encoded], leaked_as_number)
    watch.seen.pop(_FRAMES, None)  # frames hold the arguments of the call, so the plaintext is in them
    _expect_none(watch, "a plaintext", [plaintext])


@check(
    116,
    group=Group.REDACTION,
    level=Level.CORE,
    calls=15,
    keys=1,
    needs=("create_key",),
    optional=("open_backend",),
    security=True,
)
def secrets_of_settings_stay_inside(bench: Bench, target: Target) -> None:
    """No log, warning, print, error, traceback, text, attribute, pickle or other program gets a secret setting."""
    hidden = [secret for secret in bench.source.secrets() if len(secret) >= SHORTEST]
    if len(hidden) < len(bench.source.secrets()):
        bench.bound(f"A secret of the settings has less than {SHORTEST} bytes, too few to be looked for.")
    if not hidden:
        raise Unsupported("open_backend", "the settings hold no secret that could be looked for")
    with watching() as watch, bench.another() as again:
        watch.told(again.describe)
        if again.has("check_health"):
            watch.told(again.check_health)
        key = bench.make(any_algorithm(bench), subject=again)
        watch.told(partial(works, bench, key, again))
        _mistakes(again, key, watch)
        watch.told(partial(again.destroy_key, key.reference))
        watch.shown("the backend", again.target)
    _expect_none(watch, "a secret of the settings", hidden)


@check(117, group=Group.REDACTION, level=Level.CORE, calls=14, keys=4, needs=("destroy_key",), security=True)
def files_hold_no_key_in_the_clear(bench: Bench, target: Target) -> None:
    """The backend's files hold no key in the clear, and nothing is left of a key when it is destroyed."""
    bench.destroy(bench.make(any_algorithm(bench)))
    before = files(bench)
    keys = [bench.make(any_algorithm(bench)) for _ in range(2)]
    known = _imported(bench, Watch())
    if known is not None:
        held = [file for file in files(bench) if leaked(known[0].secret, _content(file))]
        expect(not held, f"{len(held)} files of the backend hold a key in the clear")
        keys.append(known[1])
    for key in keys:
        bench.destroy(key)
    left = files(bench) - before
    expect(not left, f"destroying {len(keys)} keys left {len(left)} files of them")


def _imported(bench: Bench, watch: Watch) -> tuple[Canary, Key] | None:
    """Return a known key that was imported, after a wrong import of it was refused; ``None`` if none can be."""
    try:
        known, ticket = canary(bench)
    except (Unsupported, CapabilityUnsupported):
        return None
    other = next(name for name in ("AES_256", "ED25519", "ECDSA_P256") if name != known.algorithm)
    label = bench.label()
    watch.told(lambda: bring(bench, known, bench.subject.begin_import(label, other)))
    return known, bring(bench, known, ticket)


def _life_of(bench: Bench, known: Canary, key: Key, watch: Watch) -> None:
    """Use the key rightly and wrongly in every way, and destroy it."""
    subject, label = bench.subject, key.reference.label
    watch.shown("the key", key)
    watch.told(partial(works, bench, key))
    watch.told(partial(subject.find_key, label))
    watch.told(partial(subject.create_key, label, known.algorithm, exportable=True))
    if subject.has("list_keys"):
        watch.told(subject.list_keys)
    if subject.has("wrap_key"):
        watch.told(partial(subject.wrap_key, key.reference, wrapping_spki(), RSA_AES_KEY_WRAP_SHA256))
    _mistakes(subject, key, watch)
    support = next(s for s in subject.description.algorithms if s.algorithm == known.algorithm)
    watch.shown("the backend", subject.target)
    watch.told(partial(subject.destroy_key, key.reference))
    for _, call in attempt(bench, key, Target(algorithm=support)):
        watch.told(call)


def _mistakes(subject: Subject, key: Key, watch: Watch) -> None:
    watch.told(partial(subject.sign, key.reference, b"", "NO_SUCH_SCHEME"))
    watch.told(partial(subject.encrypt, key.reference, b""))
    watch.told(partial(subject.decrypt, key.reference, bytes(60)))
    watch.told(partial(subject.public_key, key.reference))
    for scheme in get_algorithm(key.reference.algorithm).schemes:
        watch.told(partial(subject.sign, key.reference, b"no digest", scheme))


def _encryption(bench: Bench, plaintext: bytes, watch: Watch) -> None:
    name = bench.cheapest(signs=False)
    if name is None or not (bench.subject.has("encrypt") and bench.subject.has("decrypt")):
        return
    key = bench.key(name).reference
    ciphertext = watch.told(partial(bench.subject.encrypt, key, plaintext, plaintext))
    if isinstance(ciphertext, bytes):
        watch.told(partial(bench.subject.decrypt, key, ciphertext, plaintext))
        watch.told(partial(bench.subject.decrypt, key, ciphertext, plaintext[:-1]))
        watch.told(partial(bench.subject.decrypt, key, ciphertext[:-1], plaintext))


def _expect_none(
    watch: Watch, what: str, hidden: Iterable[bytes], look: Callable[[bytes, bytes | str], str | None] = leaked
) -> None:
    for secret in hidden:
        for place, texts in watch.seen.items():
            form = next(filter(None, (look(secret, text) for text in texts)), None)
            expect(form is None, f"{what} is in {place}, {form}")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it is gone since it was listed, or not for us to read
        return b""
