"""A forked child neither uses nor closes what its parent opened: both would read from the same connection."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from aws_tests.backends import NewLabel, create
from keyclave.errors import BackendUnavailable
from keyclave.plugin import ImportKeyRequest
from keyclave_aws.backend import AwsBackend

from tests.services.kms.server import Running

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
_LIMIT_SECONDS = 10


def in_child(work: Callable[[], bool]) -> bool:
    """Return what a forked child makes of it."""
    child = os.fork()
    if child == 0:
        signal.alarm(_LIMIT_SECONDS)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def test_own_kms_a_child_sends_nothing_on_the_connection_of_its_parent(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label(), "AES_256").reference
    before = len(own_kms.kms.calls)

    def is_refused() -> bool:
        with pytest.raises(BackendUnavailable, match="forked") as refused:
            on_own_kms.encrypt(key=key, plaintext=b"secret", aad=b"")
        return not refused.value.retryable

    assert in_child(is_refused)
    assert len(own_kms.kms.calls) == before
    on_own_kms.encrypt(key=key, plaintext=b"secret", aad=b"")


def test_own_kms_a_child_that_closes_leaves_the_tickets_of_its_parent(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    on_own_kms.begin_import(request=ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False))

    def closes() -> bool:
        on_own_kms.close()
        return True

    assert in_child(closes)
    assert own_kms.kms.count("ScheduleKeyDeletion") == 0
