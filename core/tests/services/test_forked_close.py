"""A forked child that closes what it inherited returns at once, and its parent goes on working."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import keyclave
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

_LIMIT_SECONDS = 5


def close_in_child(clave: keyclave.Keyclave) -> int:
    """Return the wait status of a child that does nothing but close."""
    child = os.fork()
    if child == 0:
        signal.alarm(_LIMIT_SECONDS)
        clave.close()
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_forked_while_a_thread_signs_can_close(config: Path) -> None:
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ED25519")
        stop = threading.Event()

        def sign() -> None:
            while not stop.is_set():
                clave.keys.sign("k", b"message")

        signing = threading.Thread(target=sign)
        signing.start()
        try:
            statuses = [close_in_child(clave) for _ in range(3)]
        finally:
            stop.set()
            signing.join()
        assert statuses == [0, 0, 0]
        clave.keys.verify("k", b"message", clave.keys.sign("k", b"message").signature)
        assert clave.audit.verify().ok
