"""Remove every key that a run made, and say which ones could not be removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from keyclave.errors import CapabilityUnsupported, KeyclaveError, KeyNotFound
from keyclave.plugin import DestroyState, KeyLabel

from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import name_of
from keyclave_contract_tests.subject import Subject

__all__ = ["clean"]


def clean(subject: Subject, journal: Journal) -> tuple[str, ...]:
    """Destroy what the journal names, and whatever else this run's own instance lists.

    Returns:
        The names of the keys that may still be there. A key whose destruction is scheduled is not among them.
    """
    left: dict[str, None] = {}
    for label in (*journal.labels, *_listed(subject)):
        try:
            key = subject.find_key(label)
            if subject.destroy_key(key).state is DestroyState.SCHEDULED:
                journal.gone(label)
        except (KeyNotFound, CapabilityUnsupported):
            journal.gone(label)
        except Exception:  # a broken backend must not keep the others from being removed
            left[name_of(label)] = None
    return tuple(left)


def _listed(subject: Subject) -> Iterator[KeyLabel]:
    with suppress(KeyclaveError):
        yield from (key.label for key in subject.list_keys())
