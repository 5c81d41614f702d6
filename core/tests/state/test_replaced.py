"""Nothing is committed to a file that was deleted or replaced: it would be lost with the process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import AuditUnavailable, StateUnavailable


def delete(state: Path) -> None:
    shutil.rmtree(state)


def replace(state: Path) -> None:
    shutil.copytree(state, state.with_name("copy"))
    shutil.rmtree(state)
    state.with_name("copy").rename(state)


@pytest.mark.parametrize("change", [delete, replace])
def test_a_state_that_is_no_longer_in_place_takes_nothing(config: Path, change: Callable[[Path], None]) -> None:
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ED25519")
        clave.keys.sign("k", b"message")
        change(config.parent / "state")
        with pytest.raises(AuditUnavailable, match="deleted or replaced"):
            clave.keys.sign("k", b"message")
        with pytest.raises((StateUnavailable, AuditUnavailable), match="deleted or replaced"):
            clave.keys.create("z", "ED25519")
