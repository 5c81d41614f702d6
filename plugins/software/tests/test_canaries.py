"""No path that fails carries a passphrase or a private key."""

from __future__ import annotations

import base64
import binascii
import copy
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from keyclave.errors import BackendUnavailable, KeyclaveError
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, CreatedKey, WrappedKey
from keyclave_software.backend import SoftwareBackend
from keyclave_software.master_key import MasterKey
from pydantic import SecretBytes

from core.tests.plugin_files.limits import longest_file
from plugins.software.tests.canaries import forms_of, places_of
from plugins.software.tests.conftest import Begin, KeyFile, Open
from plugins.software.tests.wrapped import pkcs8, wrap

PASSPHRASE = b"canary Passphrase 4711 that nobody may see"
AES = bytes(range(100, 132))
EC = ec.generate_private_key(ec.SECP256R1())
EC_SCALAR = EC.private_numbers().private_value.to_bytes(32, "big")
ED = ed25519.Ed25519PrivateKey.generate()


class World:
    """A keystore with known keys under a known passphrase, and all that can go wrong with it."""

    def __init__(self, open_backend: Open, begin: Callable[..., Any], path: Path, key_file: KeyFile) -> None:
        self.open, self.begin, self.key_file = open_backend, begin, key_file
        self.scratch = path
        self.settings = {"passphrase_file": self.write("passphrase", PASSPHRASE + b"\n")}
        self.backend = open_backend(**self.settings)

    def write(self, name: str, content: bytes) -> Path:
        path = self.scratch / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def ticket(self, algorithm: str) -> Any:
        return self.begin(self.backend, algorithm)

    def imported(self, algorithm: str = "ECDSA_P256", secret: bytes | None = None) -> CreatedKey:
        ticket = self.ticket(algorithm)
        return self.backend.import_key(ticket=ticket, wrapped=wrap(ticket, secret or pkcs8(EC)))

    def damaged(self) -> CreatedKey:
        created = self.imported()
        path = self.key_file(created)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        self.backend.close()
        return created


def import_into_a_full_disk(world: World) -> None:
    ticket = world.ticket("ECDSA_P256")
    wrapped = wrap(ticket, pkcs8(EC))
    with longest_file(100):
        world.backend.import_key(ticket=ticket, wrapped=wrapped)


def disable_on_a_full_disk(world: World) -> None:
    key = world.imported().reference
    with longest_file(100):
        world.backend.disable_key(key=key)


def import_twice(world: World) -> None:
    ticket = world.ticket("ECDSA_P256")
    wrapped = wrap(ticket, pkcs8(EC))
    world.backend.import_key(ticket=ticket, wrapped=wrapped)
    world.backend.import_key(ticket=ticket, wrapped=wrapped)


def import_over(world: World) -> None:
    label = world.imported("ED25519", pkcs8(ED)).reference.label
    ticket = world.begin(world.backend, "ECDSA_P256", label=label)
    world.backend.import_key(ticket=ticket, wrapped=wrap(ticket, pkcs8(EC)))


def import_cut(world: World) -> None:
    ticket = world.ticket("ECDSA_P256")
    whole = wrap(ticket, pkcs8(EC))
    world.backend.import_key(ticket=ticket, wrapped=WrappedKey(method=whole.method, blob=whole.blob[:-1]))


def use_disabled(world: World) -> None:
    key = world.imported().reference
    world.backend.disable_key(key=key)
    world.backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")


def edit_description(world: World) -> None:
    (path,) = world.key_file(world.imported()).parent.glob("keystore.json")
    path.write_bytes(path.read_bytes().replace(b'"lanes":4', b'"lanes":5'))
    world.open(**world.settings)


def open_readable(world: World) -> None:
    world.settings["passphrase_file"].chmod(0o644)
    world.open(**world.settings)


def create_in_a_full_disk(world: World) -> None:
    (world.scratch / "full").mkdir(mode=0o700)
    with longest_file(10):
        world.open(keystore=world.scratch / "full", **world.settings)


WEAK_WRAPPING_KEY = rsa.generate_private_key(65537, 2048).public_key()

FAILURES: dict[str, Callable[[World], Any]] = {
    "another passphrase": lambda w: w.open(passphrase_file=w.write("other", b"-" + PASSPHRASE)),
    "readable passphrase": open_readable,
    "long passphrase": lambda w: w.open(passphrase_file=w.write("long", PASSPHRASE * 100)),
    "passphrase as key": lambda w: w.open(key_file=w.write("key", PASSPHRASE)),
    "edited description": edit_description,
    "disk full while creating": create_in_a_full_disk,
    "disk full while importing": import_into_a_full_disk,
    "disk full while disabling": disable_on_a_full_disk,
    "damaged, find": lambda w: w.backend.find_key(label=w.damaged().reference.label),
    "damaged, sign": lambda w: w.backend.sign(key=w.damaged().reference, data=bytes(32), scheme="ECDSA_SHA256"),
    "damaged, disable": lambda w: w.backend.disable_key(key=w.damaged().reference),
    "damaged, list": lambda w: w.damaged() and w.backend.list_keys(page=None),
    "no digest": lambda w: w.backend.sign(key=w.imported().reference, data=b"", scheme="ECDSA_SHA256"),
    "disabled": use_disabled,
    "not exportable": lambda w: w.backend.wrap_key(
        key=w.imported().reference, wrapping_public_key=b"", method=RSA_AES_KEY_WRAP_SHA256
    ),
    "weak wrapping key": lambda w: w.backend.wrap_key(
        key=w.backend.import_key(
            ticket=(ticket := w.begin(w.backend, "ECDSA_P256", exportable=True)), wrapped=wrap(ticket, pkcs8(EC))
        ).reference,
        wrapping_public_key=b"",
        method=RSA_AES_KEY_WRAP_SHA256,
    ),
    "imported as another algorithm": lambda w: w.imported("ED25519"),
    "imported as another curve": lambda w: w.imported("ECDSA_P384"),
    "imported as a secret key": lambda w: w.imported("AES_256"),
    "secret key as a private key": lambda w: w.imported("ED25519", AES),
    "secret key of another length": lambda w: w.imported("AES_256", AES + b"\0"),
    "halves of two keys": lambda w: w.imported("ECDSA_P256", pkcs8(EC)[:-1] + bytes([pkcs8(EC)[-1] ^ 1])),
    "damaged PKCS#8": lambda w: w.imported("ECDSA_P256", pkcs8(EC)[:-3]),
    "imported twice": import_twice,
    "imported over another": import_over,
    "cut blob": import_cut,
    "decryption": lambda w: w.backend.decrypt(
        key=w.imported("AES_256", AES).reference, ciphertext=bytes(50), aad=b""
    ),
}
SECRETS = {"passphrase": PASSPHRASE, "AES key": AES, "EC scalar": EC_SCALAR, "Ed25519 seed": ED.private_bytes_raw()}


@pytest.fixture
def world(open_backend: Open, begin_in: Begin, tmp_path: Path, key_file: KeyFile) -> World:
    return World(open_backend, begin_in, tmp_path, key_file)


@pytest.mark.skipif(os.name != "posix", reason="disks are filled, and files shown, the POSIX way")
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_carries_no_secret(
    world: World, failure: Callable[[World], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((KeyclaveError, ValueError)) as caught:
        failure(world)
    texts = [*places_of(caught.value), caplog.text, repr(world.backend), str(world.backend.describe())]
    for name, secret in SECRETS.items():
        for form in forms_of(secret):
            assert not any(form in text for text in texts), f"{name} as {form[:6]}…"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("show", [repr, bytes.hex, lambda secret: str(int.from_bytes(secret, "big"))])
def test_the_search_finds_a_secret_that_leaks(secret: bytes, show: Callable[[bytes], str]) -> None:
    """So that finding nothing above means that there is nothing."""
    texts = list(places_of(KeyclaveError(f"the key is {show(secret)}")))
    assert any(form in text for text in texts for form in forms_of(secret))


def test_the_search_finds_a_key_in_pem() -> None:
    pem = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().replace("\n", "")
    assert any(form in pem for form in forms_of(EC_SCALAR))


def test_the_search_finds_a_secret_in_the_frames_that_an_error_passed() -> None:
    with pytest.raises(binascii.Error, match="Non-base16 digit") as caught:
        base64.b16decode(AES)
    assert any(AES.decode("latin-1") in text for text in places_of(caught.value))


@pytest.mark.skipif(os.name != "posix", reason="disks are filled the POSIX way")
def test_a_key_file_that_cannot_be_written_does_not_show_its_content(
    open_backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda _: AES)
    with longest_file(10), pytest.raises(BackendUnavailable) as caught:
        open_backend()
    texts = list(places_of(caught.value))
    assert not any(form in text for text in texts for form in forms_of(AES))


def test_a_master_key_cannot_be_shown_copied_or_pickled() -> None:
    master = MasterKey(SecretBytes(AES))
    assert "MasterKey object" in repr(master)
    for leak in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            leak(master)


def test_files_hold_no_secret_in_the_clear(world: World, data_directory: Path) -> None:
    world.imported()
    world.imported("AES_256", AES)
    world.imported("ED25519", pkcs8(ED))
    for path in data_directory.iterdir():
        content = path.read_bytes().decode("latin-1")
        for secret in SECRETS.values():
            assert not any(form in content for form in forms_of(secret)), path.name


def test_opening_a_backend_that_is_pickled_fails(backend: SoftwareBackend) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        pickle.dumps(backend)
