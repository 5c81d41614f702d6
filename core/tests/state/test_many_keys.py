"""Many keys are read page by page in memory that does not grow with their number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from keyclave.state.records import StoredKey
from keyclave.state.store import Store

NewKey = Callable[..., StoredKey]


def add(store: Store, new_key: NewKey, first: int, count: int) -> None:
    with store.write() as state:
        for number in range(first, first + count):
            state.keys.add(new_key(f"{number:07}"))


def peak(store: Store) -> tuple[int, int]:
    """Return how many keys there are, and the most bytes that reading them took."""
    found, after = 0, None
    tracemalloc.start()
    while True:
        with store.read() as state:
            page = state.keys.page(after, 100)
        if not page:
            break
        found += len(page)
        after = page[-1].name
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, most


def test_paging_needs_no_more_memory_for_more_keys(store: Store, new_key: NewKey) -> None:
    add(store, new_key, 0, 200)
    peak(store)
    few, little = peak(store)
    add(store, new_key, 200, 2800)
    many, most = peak(store)
    assert (few, many) == (200, 3000)
    assert most < 1.5 * little
