"""What is known of keys while they are made, used, disabled and destroyed in any order.

What is known of a key is the set of the states that it can be in. There is one, until a call ends with
``OutcomeUnknown``: then there are two, and the next look at the key says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from keyclave.errors import (
    CapabilityUnsupported,
    DecryptionFailed,
    InvalidArgument,
    KeyDisabled,
    KeyNotFound,
    KeyStateError,
    OutcomeUnknown,
)
from keyclave.models import get_algorithm
from keyclave.plugin import CreatedKey, KeyLabel, SigningInput
from msgspec import structs

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.violations import Violation, expect, refused

__all__ = ["ModelKey"]

T = TypeVar("T")
ABSENT, ENABLED, DISABLED, DESTROYED = "absent", "enabled", "disabled", "destroyed"
_USABLE = frozenset({ENABLED})
_PRESENT = frozenset({ENABLED, DISABLED})
_GONE = (KeyNotFound, KeyDisabled)


class ModelKey:
    """One label, and what is known of its key.

    Attributes:
        label: the label.
        states: what it can be.
        key: what the backend returned for it, once it did.
    """

    def __init__(self, bench: Bench, algorithm: str, label: KeyLabel) -> None:
        self.label = label
        self.states = frozenset({ABSENT})
        self.key: Key | None = None
        self._bench = bench
        self._algorithm = algorithm
        self._blobs: list[tuple[bytes, bytes]] = []

    def next_version(self, known: Iterable[ModelKey]) -> ModelKey:
        """Return the version after the newest one that is known of this key."""
        newest = max(other.label.version for other in known if other.label.key_id == self.label.key_id)
        label = self._bench.version(structs.replace(self.label, version=newest + 1))
        return ModelKey(self._bench, self._algorithm, label)

    def create(self) -> None:
        """Create it, whether it is there or not."""
        if len(self.states) > 1:
            self.look()
        if DESTROYED in self.states:
            self._create_again()
            return
        made = self._change(self._create, self.states - {ABSENT} or frozenset({ENABLED}))
        if made is not None:
            self._same(made)

    def destroy(self) -> None:
        """Destroy it; what was never made has no address to destroy."""
        if self.key is not None:
            self._change(partial(self._bench.subject.destroy_key, self.key.reference), frozenset({DESTROYED}))

    def disable(self) -> None:
        """Disable it, if it is there."""
        self._switch("disable_key", DISABLED)

    def enable(self) -> None:
        """Enable it, if it is there."""
        self._switch("enable_key", ENABLED)

    def look(self) -> None:
        """Find it, and compare with what is known."""
        try:
            found = self._bench.subject.find_key(self.label)
        except KeyNotFound:
            self._narrow(frozenset({ABSENT, DESTROYED}), "not found")
            return
        self._narrow(_PRESENT, "found")
        if self.key is None:
            public = self._bench.subject.public_key(found) if get_algorithm(self._algorithm).signs else b""
            self.key = Key(reference=found, spki=public)
        expect(found == self.key.reference, "a key is found at another address than before")

    def use(self, message: bytes) -> None:
        """Sign with it and let the oracle judge; or encrypt with it, and decrypt what it encrypted first and last.

        A message beyond the limits that the backend describes is refused, whatever state the key is in.
        """
        if self.key is None:
            return
        if not self._takes(len(message)):
            what = f"using a key of {self._algorithm} with {len(message)} bytes, which its description excludes,"
            refused((InvalidArgument, *_GONE), what, partial(self._use, self.key, message))
            return
        try:
            self._use(self.key, message)
        except _GONE as error:
            self._narrow(frozenset({DISABLED, DESTROYED, ABSENT}), f"refused with {type(error).__name__}")
        else:
            self._narrow(_USABLE, "used")

    @property
    def known_as(self) -> str:
        """What it can be, in words."""
        return " or ".join(sorted(self.states))

    def must_be_listed(self) -> bool | None:
        """Return whether a list must hold it; ``None`` if nobody knows."""
        here = {state in _PRESENT for state in self.states}
        return here.pop() if len(here) == 1 else None

    def _takes(self, size: int) -> bool:
        described = self._bench.subject.description.algorithms
        support = next(each for each in described if each.algorithm == self._algorithm)
        shortest, longest = support.min_plaintext, support.max_plaintext
        if support.schemes:
            scheme = self._bench.scheme(self._algorithm)
            shortest, longest = scheme.min_input, scheme.max_input
            if scheme.input is SigningInput.DIGEST:
                return True
        return shortest <= size and (longest is None or size <= longest)

    def _use(self, key: Key, message: bytes) -> None:
        if key.spki:
            self._bench.signs(key, message, self._bench.scheme(self._algorithm))
            return
        subject = self._bench.subject
        self._blobs[1:] = [(message, subject.encrypt(key.reference, message))]
        for plaintext, ciphertext in self._blobs:
            try:
                expect(
                    subject.decrypt(key.reference, ciphertext) == plaintext, "a ciphertext decrypts to another text"
                )
            except DecryptionFailed as error:
                raise Violation("a key does not decrypt any more what it encrypted") from error

    def _create_again(self) -> None:
        """Create it under the label of a destroyed key, which is refused, or makes another key."""
        old, self.key, self._blobs = self.key, None, []
        try:
            made = self._change(self._create, frozenset({ENABLED}))
        except (KeyStateError, CapabilityUnsupported):
            self.key = old
            return
        if made is not None:
            self._same(made)
            expect(not made.public_key or old is None or made.public_key != old.spki, "a destroyed key came back")

    def _create(self) -> CreatedKey:
        return self._bench.subject.create_key(self._bench.version(self.label), self._algorithm)

    def _switch(self, hook: str, after: str) -> None:
        if self.key is None or not self.states <= _PRESENT or not self._bench.subject.has(hook):
            return
        with suppress(CapabilityUnsupported):
            self._change(partial(getattr(self._bench.subject, hook), self.key.reference), frozenset({after}))

    def _change(self, call: Callable[[], T], after: frozenset[str]) -> T | None:
        """Make a call that changes the key; after an unknown outcome, it is as before, or as after."""
        try:
            result = call()
        except OutcomeUnknown:
            self.states |= after
            return None
        self.states = after
        return result

    def _same(self, made: CreatedKey) -> None:
        key = self._bench.made(made)
        expect(self.key is None or key == self.key, "creating a key again returned another one")
        self.key = key

    def _narrow(self, seen: frozenset[str], how: str) -> None:
        """Keep the states that explain what was seen."""
        left = self.states & seen
        expect(left, f"a key that should be {self.known_as} was {how}")
        self.states = left
