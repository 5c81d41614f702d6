"""What becomes of an open handle when its process forks. Runs in a process of its own, which may be lost over it."""

from __future__ import annotations

import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable

from keyclave.errors import KeyclaveError
from keyclave.plugin import CreatedKey, KeyLabel, Record, SchemeSupport

from keyclave_contract_tests import oracle
from keyclave_contract_tests.subject import Subject

__all__ = ["SECONDS", "Plan", "Task", "Work", "fork_and_work"]

SECONDS = 20.0
"""How long the child of a fork may take for its few calls."""
_Made = bytes | KeyclaveError | None


class Plan(Record, frozen=True, kw_only=True):
    """The keys that are made before the fork.

    Attributes:
        signing: label, algorithm and scheme of a key that signs; ``None`` where the backend does not sign.
        encrypting: label and algorithm of a key that encrypts; ``None`` where the backend does not encrypt.
        new: the algorithm of the keys that each process makes.
    """

    signing: tuple[KeyLabel, str, SchemeSupport] | None
    encrypting: tuple[KeyLabel, str] | None
    new: str


class Task(Record, frozen=True, kw_only=True):
    """What one of the processes does with the handle.

    Attributes:
        label: of a key to create.
        text: what to sign and to encrypt.
    """

    label: KeyLabel
    text: bytes


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


def fork_and_work(
    subject: Subject, plan: Plan, before: Task, child: Task, parent: Task
) -> tuple[bytes, tuple[Work, Work | None, Work]]:
    """Make keys, use them, fork, and use them in both processes, in the child first.

    Returns:
        The public key that signed, and what was made before, by the child, and by the parent; ``None`` for a child
        that did not answer in time.
    """
    worker = _Worker(subject, plan)
    first = worker.carry_out(before)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is what is tried here
        process = os.fork()
    if process == 0:
        try:
            os.write(writing, pickle.dumps(worker.carry_out(child)))
        finally:
            os._exit(0)
    os.close(writing)
    second = _answer(reading, process)
    return worker.spki, (first, second, worker.carry_out(parent))


def _answer(reading: int, process: int) -> Work | None:
    ready, _, _ = select.select([reading], [], [], SECONDS)
    data = os.read(reading, 1 << 16) if ready else b""
    os.close(reading)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return pickle.loads(data) if data else None  # noqa: S301  our own child


class _Worker:
    """Makes the keys of a plan, and carries out tasks with them."""

    def __init__(self, subject: Subject, plan: Plan) -> None:
        self._subject = subject
        self._new = plan.new
        self._signing: tuple[CreatedKey, SchemeSupport] | None = None
        self._encrypting = None if plan.encrypting is None else subject.create_key(*plan.encrypting)
        if plan.signing is not None:
            label, algorithm, scheme = plan.signing
            self._signing = subject.create_key(label, algorithm), scheme

    @property
    def spki(self) -> bytes:
        """The public key that signs; empty where none does."""
        return (self._signing[0].public_key or b"") if self._signing is not None else b""

    def carry_out(self, task: Task) -> Work:
        """Create, sign and encrypt."""
        return Work(
            spki=_made(lambda: self._subject.create_key(task.label, self._new).public_key or b""),
            signature=self._signed(task.text),
            ciphertext=self._encrypted(task.text),
        )

    def _signed(self, text: bytes) -> _Made:
        if self._signing is None:
            return None
        key, scheme = self._signing
        data = oracle.as_input(text, scheme)
        return _made(lambda: self._subject.sign(key.reference, data, scheme.scheme))

    def _encrypted(self, text: bytes) -> _Made:
        key = self._encrypting
        return None if key is None else _made(lambda: self._subject.encrypt(key.reference, text))


def _made(call: Callable[[], bytes]) -> bytes | KeyclaveError:
    try:
        return call()
    except KeyclaveError as error:
        return error
