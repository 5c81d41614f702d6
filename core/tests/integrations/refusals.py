"""How every refusal of a key in a backend looks, whoever asked."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from keyclave.errors import KeyclaveError

__all__ = ["refused"]


def refused(kind: type[KeyclaveError], call: Callable[[], object], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert caught.value.key_name
    assert caught.value.next_step
    assert caught.value.__cause__ is None
    assert not caught.value.retryable
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (kind, str(caught.value))
