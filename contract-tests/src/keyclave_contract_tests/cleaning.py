"""Remove every key that a run made, and say which ones could not be removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from keyclave.errors import CapabilityUnsupported, KeyNotFound
from keyclave.plugin import KeyLabel

from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import instance_number, name_of
from keyclave_contract_tests.subject import Subject

__all__ = ["clean"]


def clean(open_instance: Callable[[int], Subject], journal: Journal) -> tuple[str, ...]:
    """Destroy what the journal names, and whatever else this run's own instances list.

    Args:
        open_instance: opens the backend for an instance of the run, by its number.
        journal: what may be there.

    Returns:
        The names of the keys that may still be there. A key whose destruction is scheduled is not among them.
    """
    left: dict[str, None] = {}
    for number in sorted({0, *(instance_number(label) for label in journal.labels)}):
        subject = open_instance(number)
        mine = [label for label in journal.labels if instance_number(label) == number]
        for label in (*mine, *_listed(subject)):
            if not _destroyed(subject, label):
                left[name_of(label)] = None
            else:
                journal.gone(label)
        if number:
            subject.close()
    return tuple(left)


def _destroyed(subject: Subject, label: KeyLabel) -> bool:
    """Destroy the key of a label; return whether it is gone, or scheduled to be."""
    try:
        subject.destroy_key(subject.find_key(label))
    except (KeyNotFound, CapabilityUnsupported):
        return True
    except Exception:  # a broken backend must not keep the others from being removed
        return False
    return True


def _listed(subject: Subject) -> Iterator[KeyLabel]:
    with suppress(Exception):  # as above
        yield from (key.label for key in subject.list_keys())
