"""Many threads and processes on one token: no crash, no wrong signature, one key for one label."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from keyclave.errors import BackendUnavailable, KeyclaveError, KeyNotFound
from keyclave.plugin import KeyLabel
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import NewLabel, Open, create, sign_and_verify
from pkcs11_tests.worker import create_in_child

from tests.services.catalog import not_root
from tests.services.tokens import Token

pytestmark = pytest.mark.needs("softhsm")

THREADS, SIGNATURES = 8, 5_000
ROOT = Path(__file__).parents[4]


@pytest.fixture
def token_backend(open_backend: Open, softhsm_token: Token) -> Pkcs11Backend:
    return open_backend(softhsm_token)


def test_eight_threads_make_only_right_signatures(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    created = [create(token_backend, new_label(), "ECDSA_P256") for _ in range(3)]

    def sign(thread: int) -> int:
        for n in range(SIGNATURES // THREADS):
            key = created[n % len(created)]
            assert key.public_key is not None
            message = f"{thread}/{n}".encode()
            sign_and_verify(token_backend, key.reference, key.public_key, "ECDSA_SHA256", message)
        return SIGNATURES // THREADS

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(sign, range(THREADS))) == SIGNATURES
    assert token_backend._pool._count <= THREADS


def test_threads_that_outnumber_the_sessions_wait(
    open_backend: Open, softhsm_token: Token, new_label: NewLabel
) -> None:
    backend = open_backend(softhsm_token, sessions=2)
    created = create(backend, new_label(), "ECDSA_P256")
    assert created.public_key is not None
    spki = created.public_key

    def sign(n: int) -> bytes:
        return sign_and_verify(backend, created.reference, spki, "ECDSA_SHA256", str(n).encode())

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(sign, range(800)))) == 800
    assert backend._pool._count == 2


def test_threads_that_create_one_label_make_one_key(token_backend: Pkcs11Backend, new_label: NewLabel) -> None:
    for _ in range(5):
        label = new_label()
        with ThreadPoolExecutor(THREADS) as pool:
            made = set(pool.map(lambda _: create(token_backend, label, "ECDSA_P256").reference.uri, range(THREADS)))  # noqa: B023
        assert len(made) == 1
        assert [key.uri for key in token_backend.list_keys(page=None).keys if key.label == label] == list(made)


def test_signing_while_the_key_is_destroyed_and_made_again_is_never_a_foreign_error(
    token_backend: Pkcs11Backend, new_label: NewLabel
) -> None:
    label = new_label()
    outcomes: set[str] = set()

    def sign(_: int) -> None:
        for _ in range(100):
            try:
                key = token_backend.find_key(label=label)
                token_backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
                outcomes.add("signed")
            except KeyclaveError as error:
                outcomes.add(type(error).__name__)

    def churn(_: int) -> None:
        for _ in range(25):
            token_backend.destroy_key(key=create(token_backend, label, "ECDSA_P256").reference)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda n: (churn if n < 2 else sign)(n), range(6)))
    # Another key is under the label now, or the key goes in the midst of the call: both are said, nothing else is.
    assert outcomes <= {"signed", "KeyNotFound", "IntegrityError", "Conflict"}
    token_backend.destroy_key(key=create(token_backend, label, "ECDSA_P256").reference)
    with pytest.raises(KeyNotFound):
        token_backend.find_key(label=label)


def test_listing_while_keys_come_and_go_misses_none_that_stays(
    token_backend: Pkcs11Backend, new_label: NewLabel
) -> None:
    stay = {create(token_backend, new_label(), "AES_256").reference for _ in range(3)}
    labels = [new_label() for _ in range(4)]

    def churn(label: KeyLabel) -> None:
        for _ in range(15):
            token_backend.destroy_key(key=create(token_backend, label, "AES_256").reference)

    with ThreadPoolExecutor(THREADS) as pool:
        churning = [pool.submit(churn, label) for label in labels]
        while not all(each.done() for each in churning):
            assert stay <= set(token_backend.list_keys(page=None).keys)
        for each in churning:
            each.result()
    assert set(token_backend.list_keys(page=None).keys) == stay


def test_processes_that_create_one_label_make_one_key(
    token_backend: Pkcs11Backend, softhsm_token: Token, new_label: NewLabel, tmp_path: Path
) -> None:
    labels = [new_label() for _ in range(4)]
    arguments = (str(softhsm_token.module), softhsm_token.label, str(softhsm_token.pin_file), str(tmp_path / "data"))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        answers = pool.starmap(create_in_child, [(*arguments, list(map(str, labels)))] * 3)
    assert answers[0] == answers[1] == answers[2]
    assert {key.uri for key in token_backend.list_keys(page=None).keys} == set(answers[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize(
    ("name", "run_by"),
    [
        pytest.param("softhsm_token", (), id="softhsm"),
        pytest.param(
            "p11_kit_token", not_root(), id="p11-kit", marks=[pytest.mark.needs("nss"), pytest.mark.needs("p11-kit")]
        ),
    ],
)
def test_a_forked_child_is_told_to_open_and_can_while_the_parent_goes_on(
    request: pytest.FixtureRequest, new_label: NewLabel, tmp_path: Path, name: str, run_by: tuple[str, ...]
) -> None:
    token: Token = request.getfixturevalue(name)
    program = Path(__file__).with_name("forking.py")
    arguments = (token.module, token.label, token.pin_file, tmp_path / "data", str(new_label()))
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])
    ran = subprocess.run(
        [*run_by, sys.executable, program, *arguments],
        env={**os.environ, **token.environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:-1] == ["child: BackendUnavailable", "child signed", "parent signed"]


def test_a_closed_backend_says_so(open_backend: Open, softhsm_token: Token, new_label: NewLabel) -> None:
    backend = open_backend(softhsm_token)
    key = create(backend, new_label(), "ECDSA_P256").reference
    backend.close()
    with pytest.raises(BackendUnavailable, match="closed") as caught:
        backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    assert not caught.value.retryable


def test_two_backends_share_a_token_and_closing_one_leaves_the_other(
    open_backend: Open, softhsm_token: Token, new_label: NewLabel
) -> None:
    one, other = open_backend(softhsm_token), open_backend(softhsm_token)
    label: KeyLabel = new_label()
    created = create(one, label, "ECDSA_P256")
    one.close()
    assert created.public_key is not None
    sign_and_verify(other, created.reference, created.public_key, "ECDSA_SHA256", b"message")
    details: Any = other.describe()
    assert details == one.describe()
