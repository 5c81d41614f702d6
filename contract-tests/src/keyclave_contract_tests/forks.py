"""What becomes of an open handle when its process forks. Runs in a process of its own, which may be lost over it."""

from __future__ import annotations

import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable

from keyclave.errors import KeyclaveError
from keyclave.plugin import KeyLabel, KeyReference, Record, SchemeSupport

from keyclave_contract_tests import oracle
from keyclave_contract_tests.subject import Subject

__all__ = ["SECONDS", "Task", "Work", "fork_and_work"]

SECONDS = 20.0
"""How long the child of a fork may take for its few calls."""
_Made = bytes | KeyclaveError | None


class Task(Record, frozen=True, kw_only=True):
    """What one of the processes does with the handle.

    Attributes:
        label: of a key to create.
        algorithm: its algorithm.
        text: what to sign and to encrypt.
        signing: the key to sign with, and the scheme; ``None`` where the backend does not sign.
        encrypting: the key to encrypt with; ``None`` where the backend does not encrypt.
    """

    label: KeyLabel
    algorithm: str
    text: bytes
    signing: tuple[KeyReference, SchemeSupport] | None
    encrypting: KeyReference | None


class Work(Record, frozen=True, kw_only=True):
    """What one of the processes made, or the error that it was refused with; ``None`` for what it was not to make.

    Attributes:
        spki: the public key of the new key, empty for a secret key.
        signature: in the backend's own encoding.
        ciphertext: in the backend's own format.
    """

    spki: _Made
    signature: _Made
    ciphertext: _Made


def fork_and_work(subject: Subject, before: Task, child: Task, parent: Task) -> tuple[Work, Work | None, Work]:
    """Use a handle, fork, and use it in both processes, in the child first.

    Returns:
        What was made before, by the child, and by the parent; ``None`` for a child that did not answer in time.
    """
    first = _carried_out(subject, before)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is what is tried here
        process = os.fork()
    if process == 0:
        try:
            os.write(writing, pickle.dumps(_carried_out(subject, child)))
        finally:
            os._exit(0)
    os.close(writing)
    second = _answer(reading, process)
    return first, second, _carried_out(subject, parent)


def _answer(reading: int, process: int) -> Work | None:
    ready, _, _ = select.select([reading], [], [], SECONDS)
    data = os.read(reading, 1 << 16) if ready else b""
    os.close(reading)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return pickle.loads(data) if data else None  # noqa: S301  our own child


def _carried_out(subject: Subject, task: Task) -> Work:
    signature = ciphertext = None
    if task.signing is not None:
        key, scheme = task.signing
        signature = _made(lambda: subject.sign(key, oracle.as_input(task.text, scheme), scheme.scheme))
    if task.encrypting is not None:
        secret = task.encrypting
        ciphertext = _made(lambda: subject.encrypt(secret, task.text))
    spki = _made(lambda: subject.create_key(task.label, task.algorithm).public_key or b"")
    return Work(spki=spki, signature=signature, ciphertext=ciphertext)


def _made(call: Callable[[], bytes]) -> bytes | KeyclaveError:
    try:
        return call()
    except KeyclaveError as error:
        return error
