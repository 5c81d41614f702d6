"""Keys that a backend has under a label of this instance, and that the state does not know.

A process that stood still in the middle of a change, for longer than others wait for it, may leave one; and a state
that was put back to an earlier copy does not know the keys that were made since.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from keyclave.backends.backend import Backend
from keyclave.errors import KeyNotFound
from keyclave.plugin import KeyLabel, KeyReference
from keyclave.services.instance import Instance
from keyclave.state.store import Transaction

__all__ = ["unknown_keys"]

_AT_ONCE = 1000
"""Keys that are looked up in one transaction, in which the backend is not called."""


def unknown_keys(instance: Instance, backend: Backend) -> Iterator[KeyReference]:
    """Yield the keys in a backend that no version, no migration and no open change is of.

    Raises:
        CapabilityUnsupported: the backend does not list its keys.
        BackendError: it failed.
    """
    listed = backend.list_keys()
    while some := tuple(islice(listed, _AT_ONCE)):
        with instance.store.read() as state:
            open_labels = {intent.label for intent in state.intents.open()}
            unknown = [key for key in some if str(key.label) not in open_labels and not _is_known(state, key.label)]
        yield from (key for key in unknown if _is_there(backend, key.label))


def _is_known(state: Transaction, label: KeyLabel) -> bool:
    text = str(label)
    if any(version.label == text for version in state.keys.versions(label.key_id)):
        return True
    places = (
        place
        for migration in state.migrations.of_key(label.key_id)
        for place in (migration.source_location, migration.destination_location)
    )
    return any(place is not None and place.label == text for place in places)


def _is_there(backend: Backend, label: KeyLabel) -> bool:
    """Look once more: a change that was undone meanwhile has taken its key along."""
    try:
        backend.find_key(label)
    except KeyNotFound:
        return False
    return True
