"""No error, log record, traceback or pickle carries a passphrase, a key or a plaintext.

A known passphrase, known private key bytes and a known plaintext go through every failing path of the public API;
whatever comes out is searched for them, in every form in which they could be written down.
"""

from __future__ import annotations

import base64
import logging
import pickle
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import keyclave
import keyclave_software
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from keyclave import Keyclave
from keyclave.backends import calls
from keyclave.backends.failures import bare
from keyclave.crypto.algorithms import load_public_key
from keyclave.crypto.wrapping import unwrap_key, wrap_key
from keyclave.errors import (
    AuditUnavailable,
    BackendUnavailable,
    DecryptionFailed,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    StateUnavailable,
)
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, ImportKeyRequest, KeyLabel, WrappedKey
from pydantic import SecretBytes

from core.tests.services.failing import failing, replaced

_CORE, _SOFTWARE = Path(keyclave.__file__).parent, Path(keyclave_software.__file__).parent
PASSPHRASE = b"canary-passphrase-3f9c1e77aa"
PLAINTEXT = b"canary-plaintext-b81d02c94e55"
CONFIG = """
[environment]
type = "local"
[state]
directory = "{directory}/state"
[environment.rotation]
validation_period = "0s"
[backends.software]
plugin = "software"
passphrase_file = "{directory}/passphrase"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_bytes(PASSPHRASE)
    path = tmp_path / "keyclave.toml"
    path.write_text(CONFIG.format(directory=tmp_path))
    return path


@pytest.fixture
def clave(config: Path) -> Iterator[Keyclave]:
    with keyclave.open(config) as opened:
        opened.keys.create("signing", "ECDSA_P256", wrappable=True)
        opened.keys.create("encryption", "AES_256", wrappable=True)
        yield opened


def key_bytes(clave: Keyclave, name: str) -> bytes:
    """Take the key out of its keystore the one way there is: wrapped."""
    wrapping = rsa.generate_private_key(65537, 3072)
    spki = wrapping.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    from keyclave.services.handles import to_reference  # noqa: PLC0415

    with clave._store.read() as state:
        key = state.keys.by_name(name)
        reference = to_reference(key, state.keys.versions(key.key_id)[0])
    wrapped = clave._backends.get("software").wrap_key(reference, spki, RSA_AES_KEY_WRAP_SHA256)
    return unwrap_key(wrapped.blob, wrapping, RSA_AES_KEY_WRAP_SHA256).get_secret_value()


def forms(secret: bytes) -> set[bytes]:
    """Every way in which a secret could be written down."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()}
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret)[4:-4]
        found |= {encoded, base64.urlsafe_b64encode(bytes(offset) + secret)[4:-4]}
    return found


def secrets_of(clave: Keyclave) -> set[bytes]:
    pkcs8 = key_bytes(clave, "signing")
    private = serialization.load_der_private_key(pkcs8, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    scalar = private.private_numbers().private_value.to_bytes(32, "big")
    decimal = str(private.private_numbers().private_value).encode()
    return {
        decimal,
        *(form for secret in (PASSPHRASE, scalar, key_bytes(clave, "encryption")) for form in forms(secret)),
    }


def chain_of(error: BaseException) -> list[BaseException]:
    """The error with all its causes and contexts, shown or suppressed."""
    found: list[BaseException] = []
    left = [error]
    while left:
        current = left.pop()
        if all(current is not other for other in found):
            found.append(current)
            left += [e for e in (current.__cause__, current.__context__) if e is not None]
    return found


def texts(error: BaseException) -> bytes:
    """All that an error says, and all that it takes along when it is pickled."""
    parts = []
    for current in chain_of(error):
        parts += [str(current), repr(current), repr(vars(current))]
        if isinstance(current, KeyclaveError):
            parts.append(pickle.dumps(current).decode("latin-1"))
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def local_variables(error: BaseException) -> bytes:
    """The local variables of Keyclave's own frames, as a traceback with locals shows them."""
    parts = []
    for current in chain_of(error):
        captured = traceback.TracebackException.from_exception(current, capture_locals=True)
        for frame in captured.stack:
            if Path(frame.filename).is_relative_to(_CORE) or Path(frame.filename).is_relative_to(_SOFTWARE):
                parts += [f"{name}={value}" for name, value in (frame.locals or {}).items()]
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def key_files(config: Path) -> list[Path]:
    return [p for p in (config.parent / "state" / "backends").rglob("*.key") if len(p.stem) == 32]


def reopen(config: Path, call: Callable[[Keyclave], object]) -> None:
    with keyclave.open(config) as clave:
        call(clave)


def wrong_passphrase(clave: Keyclave, config: Path) -> None:
    clave.close()
    (config.parent / "passphrase").write_bytes(PASSPHRASE[:-1])
    reopen(config, lambda again: again.keys.sign("signing", PLAINTEXT))


def damaged_key_file(clave: Keyclave, config: Path) -> None:
    clave.close()
    for path in key_files(config):
        flip(path, -1)
    reopen(config, lambda again: again.keys.sign("signing", PLAINTEXT))


def damaged_encryption_key(clave: Keyclave, config: Path) -> None:
    clave.close()
    for path in key_files(config):
        flip(path, -1)
    reopen(config, lambda again: again.keys.encrypt("encryption", PLAINTEXT, aad=PLAINTEXT))


def damaged_ciphertext(clave: Keyclave, config: Path) -> None:
    sealed = bytearray(clave.keys.encrypt("encryption", PLAINTEXT, aad=PLAINTEXT))
    sealed[-1] ^= 1
    clave.keys.decrypt("encryption", bytes(sealed), aad=PLAINTEXT)


def locked_database(config: Path, call: Callable[[], object]) -> None:
    blocker = sqlite3.connect(config.parent / "state" / "keyclave.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        call()
    finally:
        blocker.close()


def encryption_without_record(clave: Keyclave, config: Path) -> None:
    locked_database(config, lambda: clave.keys.encrypt("encryption", PLAINTEXT))


def decryption_without_record(clave: Keyclave, config: Path) -> None:
    ciphertext = clave.keys.encrypt("encryption", PLAINTEXT)
    locked_database(config, lambda: clave.keys.decrypt("encryption", ciphertext))


def failed_validation(clave: Keyclave, config: Path) -> None:
    del config
    with failing(clave, "decrypt", DecryptionFailed("it is not authentic")):
        clave.rotation.rotate("encryption")


def failed_undoing(clave: Keyclave, config: Path) -> None:
    """What stays open is warned of in the log."""
    del config
    down = BackendUnavailable("unplugged")
    with failing(clave, "create_key", down, afterwards=True), failing(clave, "destroy_key", down):
        clave.rotation.rotate("signing")


def unfinished_revocation(clave: Keyclave, config: Path) -> None:
    clave.close()
    blocked = config.with_name("blocked.toml")
    blocked.write_text(config.read_text() + '[plugins]\nblock = ["software"]\n')
    reopen(blocked, lambda again: again.keys.revoke("signing", "the laptop was stolen"))


def interrupted_encryption(clave: Keyclave, config: Path) -> None:
    """The key is rotated while it encrypts."""

    def rotate_meanwhile(real: Callable[..., object], *arguments: object) -> object:
        reopen(config, lambda other: other.rotation.rotate("encryption"))
        return real(*arguments)

    with replaced(clave, "encrypt", rotate_meanwhile):
        clave.keys.encrypt("encryption", PLAINTEXT, aad=PLAINTEXT)


def changed_row(clave: Keyclave, config: Path) -> None:
    with sqlite3.connect(config.parent / "state" / "keyclave.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE keys SET owner_principal = 'mallory'")
    clave.keys.sign("signing", PLAINTEXT)


def settings_with_secret(old: str, new: str) -> Callable[[Keyclave, Path], object]:
    """Open with settings that hold a secret themselves, and that cannot be used."""

    def secret_in_settings(clave: Keyclave, config: Path) -> None:
        clave.close()
        secret = PASSPHRASE.decode()
        config.write_text(config.read_text().replace(old, new.format(secret=secret), 1))
        reopen(config, lambda again: again.keys.sign("signing", PLAINTEXT))

    return secret_in_settings


def misspelt_variable(clave: Keyclave, config: Path) -> None:
    clave.close()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KEYCLAVE_BACKENDS__SOFTWARE__PIN", PASSPHRASE.decode())
        environment.setenv("KEYCLAVE_BACKEND__SOFTWARE__PIN", PASSPHRASE.decode())
        keyclave.open(config)


def importing(algorithm: str, change: Callable[[bytes], bytes]) -> Callable[[Keyclave, Path], object]:
    """Import a real private key under the name of another algorithm, or damaged."""

    def refused_import(clave: Keyclave, _: Path) -> None:
        backend = clave._backends.get("software")
        label = KeyLabel(instance_id=clave.instance_id, key_id=UUID(int=1), version=1, operation_id=UUID(int=2))
        ticket = backend.begin_import(ImportKeyRequest(label=label, algorithm=algorithm, exportable=False))
        key = SecretBytes(change(key_bytes(clave, "signing")))
        blob = wrap_key(key, ticket.wrapping_public_key, ticket.method)
        backend.import_key(ticket, WrappedKey(method=ticket.method, blob=blob))

    return refused_import


def revoked_key(clave: Keyclave, _: Path) -> None:
    clave.keys.revoke("signing", "lost")
    clave.keys.sign("signing", PLAINTEXT)


def stopped_key_store(clave: Keyclave, config: Path) -> None:
    clave.close()
    (config.parent / "passphrase").unlink()
    reopen(config, lambda again: again.keys.sign("signing", PLAINTEXT))


FAILURES: list[Callable[[Keyclave, Path], object]] = [
    wrong_passphrase,
    damaged_key_file,
    damaged_encryption_key,
    damaged_ciphertext,
    encryption_without_record,
    decryption_without_record,
    failed_validation,
    failed_undoing,
    unfinished_revocation,
    interrupted_encryption,
    changed_row,
    lambda clave, _: clave.keys.create(PLAINTEXT.decode() + "/", "ED25519"),
    lambda clave, _: clave.keys.sign("signing", cast("bytes", PLAINTEXT.decode())),
    lambda clave, _: clave.keys.sign("signing", PLAINTEXT, prehashed=True),
    lambda clave, _: clave.keys.sign("encryption", PLAINTEXT),
    lambda clave, _: clave.keys.encrypt("signing", PLAINTEXT),
    lambda clave, _: clave.keys.verify("signing", PLAINTEXT, PLAINTEXT),
    lambda clave, _: clave.keys.decrypt("encryption", PLAINTEXT),
    lambda clave, _: clave.keys.destroy("signing", 1),
    lambda clave, _: clave.keys.private_key("signing").private_bytes(),
    lambda clave, _: clave.keys.private_key("signing").sign(PLAINTEXT, ec.ECDSA(hashes.SHA512())),
    lambda clave, _: clave.keys.private_key("signing").sign(PLAINTEXT, ec.ECDSA(Prehashed(hashes.SHA256()))),
    lambda clave, _: clave.keys.create("signing", "ED25519"),
    lambda clave, _: clave.keys.sign("absent", PLAINTEXT),
    lambda clave, _: clave.keys.verify("signing", PLAINTEXT, clave.keys.sign("signing", b"another").signature),
    revoked_key,
    misspelt_variable,
    stopped_key_store,
    settings_with_secret("[state]", '[state]\nkey_file = ["{secret}"]'),
    settings_with_secret("[state]", '[state]\nurl = "{secret}"'),
    settings_with_secret("[state]", '[state]\nurl = "postgresql://keyclave:{secret}@127.0.0.1:1/keyclave"'),
    settings_with_secret("[state]", '[state]\ncolour = "{secret}"'),
    settings_with_secret("[state]", "{secret}\n[state]"),
    settings_with_secret("[state]", "# {secret}" + " " * 2**20 + "\n[state]"),
    settings_with_secret("passphrase_file", 'pin = "{secret}"\npassphrase_file'),
    settings_with_secret('plugin = "software"', 'plugin = "absent"\npin = "{secret}"'),
    settings_with_secret('plugin = "software"', 'plugin = "software"\nargon2 = "{secret}"'),
    importing("ED25519", bytes),
    importing("AES_256", bytes),
    importing("ECDSA_P256", lambda key: key[:-1]),
    importing("ECDSA_P256", lambda key: key + PASSPHRASE),
]


@pytest.mark.parametrize("failure", FAILURES, ids=[getattr(f, "__name__", "?") for f in FAILURES])
def test_a_failing_path_carries_no_secret(
    clave: Keyclave,
    config: Path,
    failure: Callable[[Keyclave, Path], object],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    canaries = secrets_of(clave)
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyclaveError) as caught:
        failure(clave, config)
    output = "".join(capsys.readouterr())
    said = texts(caught.value) + caplog.text.encode() + output.encode()
    assert [form for form in forms(PLAINTEXT) if form in said] == []
    text = said + local_variables(caught.value)
    assert [canary for canary in canaries if len(canary) >= 8 and canary in text] == []
    state = b"".join(path.read_bytes() for path in (config.parent / "state").rglob("*") if path.is_file())
    assert [secret for secret in (*canaries, *forms(PLAINTEXT)) if len(secret) >= 8 and secret in state] == []


HOOKS: dict[str, Callable[[Keyclave], object]] = {
    "sign": lambda clave: clave.keys.sign("signing", PLAINTEXT),
    "encrypt": lambda clave: clave.keys.encrypt("encryption", PLAINTEXT),
    "decrypt": lambda clave: clave.keys.decrypt("encryption", clave.keys.encrypt("encryption", PLAINTEXT)),
    "create_key": lambda clave: clave.keys.create("another", "ED25519"),
}
RAISED = [*(getattr(keyclave.errors, name) for name in keyclave.errors.__all__), RuntimeError, SystemExit]


@pytest.fixture
def refuse(clave: Keyclave) -> Callable[[str, type[BaseException]], set[bytes]]:
    """Let a hook of the backend raise an error, in a frame full of secrets; return what the hook is given."""
    raised: dict[str, type[BaseException]] = {}
    given: set[bytes] = set()

    def replace(hook: str, cls: type[BaseException]) -> set[bytes]:
        relay = clave._backends.get("software").calls._relay
        (implementation,) = getattr(relay, hook).get_hookimpls()
        raised[hook] = cls

        def raise_it(*arguments: Any) -> None:
            given.update(a for a in arguments if hook == "encrypt" and isinstance(a, bytes) and len(a) >= 32)
            pin = PASSPHRASE.decode()
            kind = raised[hook]  # asked now: a signer stays bound to the first function
            error = kind("the plugin refused" if issubclass(kind, KeyclaveError) else pin)
            error.add_note(pin)
            raise error from RuntimeError(pin)

        object.__setattr__(implementation, "function", raise_it)
        return given

    return replace


@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_that_raises_with_secrets_around_it_tells_none(
    clave: Keyclave,
    config: Path,
    hook: str,
    refuse: Callable[[str, type[BaseException]], set[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every class of the tree, and two that are not of it, from every hook that a key is used through."""
    canaries = secrets_of(clave)
    seen: set[type[KeyclaveError]] = set()
    for cls in RAISED:
        data_keys = refuse(hook, cls)
        with caplog.at_level(logging.DEBUG), pytest.raises(KeyclaveError) as caught:
            HOOKS[hook](clave)
        seen.add(type(caught.value))
        text = texts(caught.value) + local_variables(caught.value) + caplog.text.encode()
        known = canaries | {form for key in data_keys for form in forms(key)}
        assert [canary for canary in known if len(canary) >= 8 and canary in text] == [], cls
    if hook == "decrypt":
        seen.add(InvalidArgument)  # which becomes DecryptionFailed: one error for every cause
    the_cores = {AuditUnavailable, StateUnavailable}  # of them a plugin knows nothing: it is a KeyclaveError then
    assert {cls for cls in RAISED if issubclass(cls, KeyclaveError)} - the_cores == seen
    state = b"".join(path.read_bytes() for path in (config.parent / "state").rglob("*") if path.is_file())
    assert [canary for canary in canaries if len(canary) >= 8 and canary in state] == []


def foreign_cause() -> BaseException:
    """An error whose traceback goes through a frame of Keyclave that holds a secret."""
    try:
        load_public_key(PASSPHRASE)
    except KeyclaveError as error:
        return error
    raise AssertionError


LEAKS: dict[str, Callable[[KeyclaveError], object]] = {
    "nothing": lambda error: None,
    "message": lambda error: setattr(error, "message", PASSPHRASE.hex()),
    "attribute": lambda error: setattr(error, "next_step", PASSPHRASE.decode()),
    "note": lambda error: setattr(error, "next_step", base64.b64encode(b"x" + PASSPHRASE).decode()),  # it is one
    "cause": lambda error: setattr(error, "__cause__", RuntimeError(PASSPHRASE)),
    "suppressed context": lambda error: setattr(error, "__context__", RuntimeError(PASSPHRASE)),
    "local": lambda error: setattr(error, "__cause__", foreign_cause()),
    "log": lambda error: logging.getLogger("keyclave").warning("%s", PASSPHRASE.decode()),
}


@pytest.mark.parametrize("place", LEAKS)
def test_a_leak_is_found_wherever_it_is(
    clave: Keyclave,
    refuse: Callable[[str, type[BaseException]], set[bytes]],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Plant a leak where Keyclave makes the errors of plugins anew, and see the search find it."""

    def leak(error: KeyclaveError) -> KeyclaveError:
        again = bare(error)
        LEAKS[place](again)
        return again

    refuse("sign", KeyDisabled)
    monkeypatch.setattr(calls, "bare", leak)
    with pytest.raises(KeyclaveError) as caught:
        clave.keys.sign("signing", PLAINTEXT)
    text = texts(caught.value) + local_variables(caught.value) + caplog.text.encode()
    assert any(form in text for form in forms(PASSPHRASE)) is (place != "nothing")


def test_the_search_finds_what_is_there() -> None:
    def fail() -> None:
        hidden = base64.b64encode(b"xy" + PASSPHRASE)
        raise KeyclaveError("oh" if hidden else "")

    with pytest.raises(KeyclaveError) as caught:
        fail()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    text = repr([frame.locals for frame in frames]).encode()
    assert any(form in text for form in forms(PASSPHRASE))


def test_files_hold_no_key_in_clear(clave: Keyclave, config: Path) -> None:
    canaries = secrets_of(clave)
    clave.keys.decrypt("encryption", clave.keys.encrypt("encryption", PLAINTEXT, aad=PLAINTEXT), aad=PLAINTEXT)
    clave.close()
    searched = 0
    for path in (config.parent / "state").rglob("*"):
        if path.is_file():
            searched += 1
            content = path.read_bytes()
            assert [c for c in canaries if len(c) >= 8 and c in content] == [], path
    assert searched >= 4
