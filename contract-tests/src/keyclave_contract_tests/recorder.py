"""A thread that makes calls about one label, and notes what it saw as events of a history."""

from __future__ import annotations

import time
from collections.abc import Iterable

from keyclave.errors import KeyNotFound, KeyStateError, OutcomeUnknown
from keyclave.plugin import KeyLabel, KeyReference

from keyclave_contract_tests.histories import Answer, Event
from keyclave_contract_tests.subject import Subject

__all__ = ["CALLS", "Recorder"]

CALLS = ("create", "find", "destroy")


class Recorder:
    """Makes calls about one label, one after the other."""

    def __init__(self, subject: Subject, label: KeyLabel, algorithm: str) -> None:
        self._subject = subject
        self._label = label
        self._algorithm = algorithm
        self._held: tuple[KeyReference, bytes] | None = None

    def perform(self, script: Iterable[str]) -> list[Event]:
        """Make the calls of a script, each one of `CALLS`, and return what happened.

        To destroy a key takes its address: a thread that has none yet looks for the key instead.
        """
        return [self._event(name) for name in script]

    def _event(self, name: str) -> Event:
        started = time.perf_counter()
        if name == "create":
            answer, key = self._create()
        elif name == "destroy" and self._held is not None:
            answer, key = self._destroy(*self._held)
        else:
            answer, key = self._find()
        return Event(started=started, ended=time.perf_counter(), answer=answer, key=key)

    def _create(self) -> tuple[Answer, bytes]:
        try:
            made = self._subject.create_key(self._label, self._algorithm)
        except (KeyStateError, OutcomeUnknown):  # its label is used up, or the key is gone again already
            return Answer.MAYBE, b""
        key = made.public_key or made.reference.uri.encode()
        self._held = made.reference, key
        return Answer.MADE, key

    def _find(self) -> tuple[Answer, bytes]:
        try:
            self._subject.find_key(self._label)
        except KeyNotFound:
            return Answer.ABSENT, b""
        return Answer.FOUND, b""

    def _destroy(self, reference: KeyReference, key: bytes) -> tuple[Answer, bytes]:
        self._subject.destroy_key(reference)
        return Answer.DESTROYED, key
