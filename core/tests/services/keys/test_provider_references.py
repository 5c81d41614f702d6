"""What the provider calls a request is in the audit log, whether it succeeded or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from keyclave import Keyclave
from keyclave.errors import AccessDenied, KeyclaveError, Throttled

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing
from core.tests.services.foreign_keys import URI, foreign_settings, make_foreign_key

DENIED = AccessDenied("acme:Make is missing", provider_reference="request 17")
LAST = "request to keep"


@pytest.fixture
def clave(reopen: Reopen, installed: Callable[..., None], tmp_path: Path) -> Keyclave:
    installed("foreign")
    make_foreign_key(tmp_path / "shared")
    return reopen(foreign_settings(tmp_path / "shared", deletion_days="7"))


def references(clave: Keyclave, operation: str) -> list[tuple[str, str | None]]:
    found = [r for r in clave.audit.records() if r.operation_type == operation]
    return [(record.status, record.provider_reference) for record in found]


def test_what_was_made_names_its_request(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519", backend="shared")
    clave.rotation.rotate("k")
    clave.keys.adopt("theirs", URI, backend="shared")
    for operation in ("KEY_GENERATION", "ROTATE", "ADOPT"):
        assert references(clave, operation) == [("SUCCESS", LAST)]


@pytest.mark.parametrize("refused", ["KEY_GENERATION", "ROTATE"])
def test_what_was_refused_names_the_request_that_was(clave: Keyclave, refused: str) -> None:
    clave.keys.create("k", "ED25519", backend="shared")
    changes: dict[str, Callable[[], object]] = {
        "ROTATE": lambda: clave.rotation.rotate("k"),
        "KEY_GENERATION": lambda: clave.keys.create("other", "ED25519", backend="shared"),
    }
    with failing(clave, "create_key", DENIED, backend="shared"), pytest.raises(AccessDenied) as raised:
        changes[refused]()
    assert raised.value.provider_reference == "request 17"
    assert references(clave, refused)[-1] == ("FAILED", "request 17")


def test_a_failure_after_a_success_names_the_failure(clave: Keyclave) -> None:
    """The key was made, and its first signature was throttled."""
    clave.keys.create("k", "ED25519", backend="shared")
    error = Throttled("slow down", provider_reference="request 18")
    with failing(clave, "bind_signer", error, backend="shared"), pytest.raises(KeyclaveError):
        clave.rotation.rotate("k")
    assert references(clave, "ROTATE") == [("FAILED", "request 18")]


def test_what_recovery_destroys_names_its_request(clave: Keyclave) -> None:
    with failing(clave, "create_key", DENIED, afterwards=True, backend="shared"), pytest.raises(AccessDenied):
        clave.keys.create("k", "ED25519", backend="shared")
    assert references(clave, "RECOVER") == [("SUCCESS", "request to destroy")]
