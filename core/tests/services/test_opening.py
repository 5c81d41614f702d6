"""An instance that cannot be opened keeps nothing open, not even while its error is kept."""

from __future__ import annotations

from pathlib import Path

import keyclave
import pytest
from filelock import FileLock
from keyclave.errors import ConfigurationError, StateUnavailable
from keyclave.services.recovery import Recovery
from keyclave.state.store import Store


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """Every store that is opened from now on."""
    opened: list[Store] = []
    original = Store.open

    def open_store(*args: object, **kwargs: object) -> Store:
        opened.append(original(*args, **kwargs))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(Store, "open", open_store)
    return opened


def require_closed(stores: list[Store]) -> None:
    (store,) = stores
    with pytest.raises(StateUnavailable, match="closed"), store.read():
        pass


def test_an_environment_that_is_refused_leaves_the_state_closed(config: Path, stores: list[Store]) -> None:
    config.write_text(config.read_text().replace('validation_period = "0s"', 'interval = "500d"'))
    with pytest.raises(ConfigurationError) as refused:
        keyclave.open(config)
    require_closed(stores)
    assert refused.value.__traceback__ is not None


def test_a_failing_recovery_leaves_state_and_owner_free(
    config: Path, stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No real part fails here on demand; recovery is made to."""

    def fail(_: Recovery) -> None:
        raise StateUnavailable("the disk is gone")

    monkeypatch.setattr(Recovery, "run", fail)
    with pytest.raises(StateUnavailable, match="gone") as failed:
        keyclave.open(config)
    require_closed(stores)
    (lock,) = (config.parent / "state" / "owners").glob("*.lock")
    with FileLock(lock, timeout=0):
        assert failed.value.__traceback__ is not None
