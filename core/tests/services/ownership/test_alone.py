"""A lease that a process took to do something alone, and whose commit was not answered, keeps nobody out for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from keyclave import Keyclave
from keyclave.errors import StateUnavailable
from keyclave.state.store import Store, Transaction

from core.tests.databases import Place
from core.tests.fleet import fall_silent, node


@contextmanager
def losing(*, durable: bool) -> Iterator[None]:
    """Lose the answer to the transactions that change leases, after they are durable or instead of that."""
    real = Store.lease

    @contextmanager
    def lease(store: Store) -> Iterator[Transaction]:
        with real(store) as state:
            yield state
            if not durable:
                raise StateUnavailable("the connection was lost")
        raise StateUnavailable("the connection was lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "lease", lease)
        yield


def take(clave: Keyclave) -> bool:
    with clave._owner.alone("work") as is_ours:
        return is_ours()


@pytest.mark.parametrize("durable", [True, False])
def test_a_lost_answer_locks_neither_this_process_nor_the_others_out(
    place: Place, tmp_path: Path, *, durable: bool
) -> None:
    with node(place, tmp_path / "here") as here, node(place, tmp_path / "there") as there:
        assert take(here)
        with losing(durable=durable), pytest.raises(StateUnavailable):
            take(here)
        fall_silent(here, "work")
        assert take(there)
        assert take(here)
