"""Somebody else's key becomes Keyclave's by its commands, or stays theirs; and the contract leaves it alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyclave
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from keyclave.errors import IntegrityError
from pkcs11.constants import Attribute, ObjectClass
from pkcs11_tests.backends import NewLabel, Open
from pkcs11_tests.foreign import IDENTIFIER, Theirs, objects_named, session_of
from pkcs11_tests.test_end_to_end import MESSAGE, configure

from tests.services.tokens import Token

pytestmark = pytest.mark.needs("softhsm")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def theirs(open_backend: Open, softhsm_token: Token, new_label: NewLabel) -> Iterator[Theirs]:
    theirs = Theirs(open_backend(softhsm_token), new_label)
    yield theirs
    theirs.remove()


@pytest.fixture
def run(tmp_path: Path, softhsm_token: Token) -> Run:
    """Run a command of Keyclave, with the token as the backend ``vault``."""
    configure(tmp_path, softhsm_token)
    environment = {**os.environ, **softhsm_token.environment, "HOME": str(tmp_path), "COLUMNS": "120"}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keyclave", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def addresses(run: Run, name: str) -> list[str]:
    """Return what could be adopted with a label."""
    listed = json.loads(run("keys", "adoptable", "--backend", "vault", "--json").stdout)
    return [key["uri"] for key in listed if repr(name) in key["description"]]


def test_a_key_of_others_is_adopted_used_and_rotated(run: Run, theirs: Theirs, tmp_path: Path) -> None:
    theirs.make()
    (listed,) = theirs.listed()
    (tmp_path / "message").write_bytes(MESSAGE)
    (uri,) = addresses(run, theirs.name)
    assert uri == listed.uri
    said = run("keys", "adopt", "release", uri, "--backend", "vault", "--algorithm", "ECDSA_P256").stdout
    assert said == "Adopted ECDSA_P256 key 'release', version 1, in backend 'vault'.\n"
    assert addresses(run, theirs.name) == []
    run("keys", "sign", "release", "message", "-o", "signature")
    public_key = load_der_public_key(listed.public_key or b"")
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify((tmp_path / "signature").read_bytes(), MESSAGE, ec.ECDSA(hashes.SHA256()))
    run("keys", "rotate", "release", "--now")
    assert "version 1" in run("keys", "verify", "release", "message", "signature").stdout
    run("keys", "sign", "release", "message", "-o", "second")
    assert "version 2" in run("keys", "verify", "release", "message", "second").stdout
    with session_of(theirs.backend) as session:
        assert {each[Attribute.ID] for each in objects_named(session, theirs.name)} == {IDENTIFIER}


def test_an_adopted_key_that_is_destroyed_is_gone_from_the_token(run: Run, theirs: Theirs) -> None:
    theirs.make()
    run("keys", "adopt", "release", *addresses(run, theirs.name), "--backend", "vault")
    run("keys", "revoke", "release", "--reason", "over", "--yes")
    run("keys", "destroy", "release", "--version", "1", "--yes")
    with session_of(theirs.backend) as session:
        assert objects_named(session, theirs.name) == []


def test_a_key_that_cannot_be_adopted_says_why(run: Run, theirs: Theirs) -> None:
    theirs.make(EXTRACTABLE=True)
    (uri,) = addresses(run, theirs.name)
    said = run("keys", "adopt", "release", uri, "--backend", "vault", code=1).stderr
    assert "CKA_EXTRACTABLE must be false" in said
    assert "tool of the token's maker" in said
    assert addresses(run, theirs.name) == [uri]
    assert run("keys", "list").stdout == ""


def test_a_key_that_fails_its_challenge_is_forgotten(theirs: Theirs, softhsm_token: Token, tmp_path: Path) -> None:
    """A private half beside the public half of another key: neither of them says so."""
    other = f"{theirs.name} 2"
    theirs.make()
    theirs.make(name=other)
    with session_of(theirs.backend) as session:
        (public,) = objects_named(session, theirs.name, ObjectClass.PUBLIC_KEY)
        public.destroy()
        (private,) = objects_named(session, other, ObjectClass.PRIVATE_KEY)
        private.destroy()
    (key,) = theirs.listed()
    with keyclave.open(configure(tmp_path, softhsm_token), principal="tester") as clave:
        with pytest.raises(IntegrityError) as caught:
            clave.keys.adopt("release", key.uri, backend="vault")
        assert caught.value.operation == "adopt"
        assert clave.keys.list() == ()
        assert clave.recovery.open_intents() == ()
        assert key in clave.keys.adoptable("vault")
    with session_of(theirs.backend) as session:
        for each in objects_named(session, other):
            each.destroy()


def test_the_contract_leaves_a_token_with_keys_of_others_alone(run: Run, theirs: Theirs) -> None:
    theirs.make(EXTRACTABLE=True)
    listed = theirs.listed()
    arguments = ("conform", "vault", "--budget", "smoke", "--only", "^1-")
    refused = run(*arguments, code=6)
    assert "keys that no Keyclave made" in refused.stderr
    run(*arguments, "--destructive")
    assert theirs.listed() == listed
    theirs.remove()
    run(*arguments)
