"""Remove every key that a run made, and say which ones could not be removed.

A process that is killed while a device makes a key may leave half of it, which nobody finds. Making the key whole
and destroying it removes that half. A service makes a key whole or not at all, so this is not done there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from keyclave.errors import CapabilityUnsupported, KeyclaveError, KeyNotFound
from keyclave.plugin import KeyLabel, KeyReference, Location

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.labels import instance_number, name_of
from keyclave_contract_tests.subject import Subject

__all__ = ["clean"]


def clean(bench: Bench) -> tuple[str, ...]:
    """Destroy what the journal of a run names, and whatever else the run's own instances list.

    Returns:
        The names of the keys that may still be there. A key whose destruction is scheduled is not among them.
    """
    journal = bench.journal
    whole = bench.cheapest(signs=False) or bench.cheapest(signs=True)
    left: dict[str, None] = {}
    for number in sorted({0, *(instance_number(label) for label in journal.labels)}):
        subject = bench.instance(number)
        mine = [label for label in journal.labels if instance_number(label) == number]
        for label in (*mine, *_listed(subject)):
            if not _destroyed(subject, label, whole):
                left[name_of(label)] = None
            else:
                journal.gone(label)
        if number:
            subject.close()
    return tuple(left)


def _destroyed(subject: Subject, label: KeyLabel, algorithm: str | None) -> bool:
    """Destroy the key of a label, or half of it; return whether it is gone, or scheduled to be."""
    try:
        subject.destroy_key(_found(subject, label, algorithm))
    except (KeyNotFound, CapabilityUnsupported):
        return True
    except Exception:  # a broken backend must not keep the others from being removed
        return False
    return True


def _found(subject: Subject, label: KeyLabel, algorithm: str | None) -> KeyReference:
    """Return the key of a label; a device that does not find it is told to make one there."""
    try:
        return subject.find_key(label)
    except KeyNotFound:
        if algorithm is None or subject.description.location is not Location.DEVICE:
            raise
    with suppress(KeyclaveError):  # it may refuse, or not answer
        subject.create_key(label, algorithm)
    return subject.find_key(label)


def _listed(subject: Subject) -> Iterator[KeyLabel]:
    with suppress(Exception):  # as above
        yield from (key.label for key in subject.list_keys())
