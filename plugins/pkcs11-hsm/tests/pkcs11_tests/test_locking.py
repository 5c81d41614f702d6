"""The lock that processes share while they change keys of one token."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from keyclave.errors import BackendUnavailable
from keyclave_pkcs11_hsm import locking
from keyclave_pkcs11_hsm.locking import TokenLock


def test_who_waits_in_vain_is_told_how_to_find_the_process_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_SECONDS", 0.1)
    lock = TokenLock(tmp_path / "data")
    with FileLock(tmp_path / "data" / "token.lock"):
        with (
            pytest.raises(BackendUnavailable, match="by another thread or process for too long") as caught,
            lock.held(),
        ):
            pass
        assert "keyclave recover --list" in caught.value.next_step
    with lock.held():
        pass
