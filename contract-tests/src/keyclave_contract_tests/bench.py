"""What a check works with: the backend, keys to use and to spoil, examples, other handles and other processes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy, tuples
from keyclave.errors import CapabilityUnsupported, KeyNotFound
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreatedKey, KeyLabel, KeyReference, Record, SchemeSupport
from msgspec import structs

from keyclave_contract_tests import oracle
from keyclave_contract_tests.budgets import Budget
from keyclave_contract_tests.children import Child, Work
from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.sources import Source
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.violations import Unsupported, Violation, expect

__all__ = ["Bench", "Key"]

BACKEND_ID = "under-test"


class Key(Record, frozen=True, kw_only=True):
    """A key that the run made.

    Attributes:
        reference: how the backend addresses it.
        spki: its public key, DER SubjectPublicKeyInfo; empty for a secret key.
    """

    reference: KeyReference
    spki: bytes


class Bench:
    """The bench of one run. Safe to share between threads.

    Attributes:
        source: where the backend comes from.
        budget: how deep checks look.
        subject: the backend, opened for the whole run.
        meter: what was spent.
        directory: scratch space of this run.
        random: drawn from where hypothesis does not draw; seeded anew for each case.
        examples: how many examples the case has seen.
        planned: how many it is to see.
        example: the last example, as text.
        bounds: what the run cannot exclude, a sentence each.
        observations: what was measured and is no verdict, a sentence each.
    """

    def __init__(self, source: Source, budget: Budget, labels: Labels, directory: Path, meter: Meter) -> None:
        self.source = source
        self.budget = budget
        self.labels = labels
        self.directory = directory
        self.meter = meter
        self.journal = Journal(directory / "journal.jsonl")
        self.bounds: dict[str, None] = {}
        self.observations: dict[str, None] = {}
        self._pool: dict[str, Key] = {}
        self._pool_lock = threading.Lock()
        self.begin(0)
        self.subject = self._open(0)

    def begin(self, number: int) -> None:
        """Begin a case, whose random choices come from ``number``."""
        self.random = random.Random(number)  # noqa: S311  examples, not secrets
        self._seed = number
        self.examples = self.planned = 0
        self.example: str | None = None

    # Keys

    def label(self, instance: int = 0) -> KeyLabel:
        """Return a label that no key has yet, noted as one that may be there from now on."""
        label = self.labels.new(instance)
        self.journal.planned(label)
        return label

    def version(self, label: KeyLabel) -> KeyLabel:
        """Return a label of the caller's making, noted as one that may be there from now on."""
        self.journal.planned(label)
        return label

    def make(
        self,
        algorithm: str,
        *,
        exportable: bool = False,
        label: KeyLabel | None = None,
        subject: Subject | None = None,
    ) -> Key:
        """Create a key for the check alone.

        Raises:
            Unsupported: the backend refuses this algorithm, or an exportable key, and left nothing behind.
        """
        subject = subject or self.subject
        chosen = label or self.label()
        try:
            made = subject.create_key(chosen, algorithm, exportable=exportable)
        except CapabilityUnsupported as error:
            raise self.unsupported("create_key", error, chosen) from None
        return self.made(made)

    def made(self, made: CreatedKey) -> Key:
        """Return what a backend made as a `Key`."""
        return Key(reference=made.reference, spki=made.public_key or b"")

    def unsupported(self, hook: str, error: CapabilityUnsupported, label: KeyLabel) -> Unsupported:
        """Return the outcome of a refused call, once it is shown that the call left nothing behind."""
        expect(not self.exists(label), f"{hook} refused with CapabilityUnsupported, and left a key behind")
        self.journal.gone(label)
        return Unsupported(hook, error.message)

    def key(self, algorithm: str) -> Key:
        """Return the key that all checks share that change nothing about it."""
        with self._pool_lock:
            if algorithm not in self._pool:
                self._pool[algorithm] = self.make(algorithm)
            return self._pool[algorithm]

    def exists(self, label: KeyLabel, subject: Subject | None = None) -> bool:
        """Return whether the backend finds a key of this label."""
        try:
            (subject or self.subject).find_key(label)
        except KeyNotFound:
            return False
        return True

    def destroy(self, key: Key) -> None:
        """Destroy a key that the check no longer needs."""
        self.subject.destroy_key(key.reference)

    # Signatures

    def sign(self, key: Key, message: bytes, scheme: SchemeSupport, subject: Subject | None = None) -> bytes:
        """Return the backend's signature over a message, in its public form.

        Raises:
            Violation: it has no public form.
        """
        native = (subject or self.subject).sign(key.reference, oracle.as_input(message, scheme), scheme.scheme)
        signature = oracle.in_public_form(native, scheme)
        if signature is None:
            raise Violation(f"the signature has {len(native)} bytes, which is no {scheme.encoding.value}")
        return signature

    def signs(self, key: Key, message: bytes, scheme: SchemeSupport, subject: Subject | None = None) -> None:
        """Sign a message, and let the oracle judge.

        Raises:
            Violation: the signature is wrong.
        """
        signature = self.sign(key, message, scheme, subject)
        expect(
            oracle.is_valid(key.spki, scheme.scheme, message, signature),
            f"the signature over {len(message)} bytes does not verify under the key's public key",
        )

    def scheme(self, algorithm: str) -> SchemeSupport:
        """Return the first scheme that keys of an algorithm sign with."""
        return next(s.schemes[0] for s in self.subject.description.algorithms if s.algorithm == algorithm)

    def cheapest(self, *, signs: bool) -> str | None:
        """Return the algorithm whose keys are made fastest, of those that sign or of those that do not."""
        order = (
            ("ECDSA_P256", "ED25519", "ECDSA_P384", "ML_DSA_65", "RSA_2048", "RSA_3072", "RSA_4096")
            if signs
            else ("AES_256",)
        )
        offered = {s.algorithm for s in self.subject.description.algorithms if bool(s.schemes) is signs}
        return next((name for name in order if name in offered), None)

    # Examples

    def each(
        self, body: Callable[..., None], *strategies: SearchStrategy[Any], explicit: Sequence[tuple[Any, ...]] = ()
    ) -> None:
        """Run ``body`` on the explicit examples, then on as many drawn ones as the budget allows.

        Strategies draw from constants, never from what a backend returned. The last example is kept: if the body
        raised, it is the smallest one that hypothesis found.
        """
        self.planned += len(explicit) + self.budget.examples

        def counted(*values: Any) -> None:
            self.example = ", ".join(map(_shown, values))
            body(*values)
            self.examples += 1

        for values in explicit:
            counted(*values)
        phases = (Phase.generate, Phase.shrink) if self.budget.shrinks else (Phase.generate,)
        drawn = settings(
            max_examples=self.budget.examples,
            deadline=None,
            database=None,
            derandomize=False,
            phases=phases,
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        seed(self._seed)(drawn(given(tuples(*strategies))(lambda values: counted(*values))))()
        self.example = None

    # Other handles, other processes

    @contextmanager
    def another(self, instance: int = 0, directory: Path | None = None) -> Iterator[Subject]:
        """Open a second handle of the same backend, for this or another Keyclave instance, and close it.

        Args:
            instance: the number of the instance.
            directory: its data directory; that of the run where none is given.
        """
        subject = self._open(instance, directory)
        try:
            yield subject
        finally:
            subject.close()

    @contextmanager
    def child(self, work: Work, *arguments: object, instance: int = 0) -> Iterator[Child]:
        """Start another process that opens the backend and then waits to be told to work; end it at the end."""
        child = Child(self.source, self.context(instance), work, arguments)
        try:
            yield child
        finally:
            child.end()

    def context(self, instance: int = 0) -> BackendContext:
        """Return what the backend is opened with."""
        return BackendContext(
            backend_id=BACKEND_ID,
            instance_id=self.labels.instance(instance),
            environment_type=EnvironmentType.LOCAL,
            data_directory=self.directory / "data",
            accept_simulator=getattr(self.source, "accept_simulator", False),
        )

    def _open(self, instance: int, directory: Path | None = None) -> Subject:
        context = self.context(instance)
        if directory is not None:
            context = structs.replace(context, data_directory=directory)
        return Subject(self.source.open(context), self.meter, self.journal)

    def bound(self, sentence: str) -> None:
        """State what the run cannot exclude."""
        self.bounds[sentence] = None

    def observe(self, sentence: str) -> None:
        """State what was measured and is no verdict."""
        self.observations[sentence] = None


def _shown(value: object) -> str:
    """Return a value as text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]}... ({len(text)} characters)"  # noqa: PLR2004
