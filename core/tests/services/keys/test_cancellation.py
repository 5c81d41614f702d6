"""A destruction that was scheduled is called off, or stays scheduled, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from keyclave import Keyclave
from keyclave.errors import (
    AccessDenied,
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    InvalidArgument,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import KeyStatus

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced
from core.tests.services.foreign_keys import foreign_settings
from core.tests.services.long_ago import long_ago

MESSAGE = b"message"
FAILURES = [
    BackendUnavailable("the network is down", provider_reference="request-1"),
    OutcomeUnknown("no answer", provider_reference="request-2"),
    AccessDenied("kms:CancelKeyDeletion is missing"),
]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def settings(installed: Callable[..., None], keys: Path) -> str:
    installed("foreign")
    return foreign_settings(keys, deletion_days="7")


@pytest.fixture
def clave(reopen: Reopen, settings: str) -> Keyclave:
    """An instance with a key whose first version is deprecated, and will be destroyed in seven days."""
    clave = reopen(settings)
    with long_ago():
        clave.keys.create("k", "ED25519", backend="shared")
        clave.rotation.rotate("k")
    clave.keys.destroy("k", 1)
    return clave


def files(keys: Path, kind: str) -> int:
    return len(list(keys.glob(f"*.{kind}")))


def records(clave: Keyclave, operation: str) -> list[tuple[str, str | None]]:
    found = [r for r in clave.audit.records() if r.operation_type == operation]
    return [(record.status, record.provider_reference) for record in found]


def test_a_scheduled_destruction_names_its_date_and_its_request(clave: Keyclave, keys: Path) -> None:
    destroyed_at = clave.keys.versions("k")[0].destroyed_at
    assert destroyed_at is not None
    assert timedelta(days=6) < destroyed_at - datetime.now(UTC) <= timedelta(days=7)
    assert files(keys, "date") == 1
    assert records(clave, "DESTROY") == [("SUCCESS", "request to destroy")]


def test_a_deprecated_version_is_there_again_and_enabled(clave: Keyclave, keys: Path) -> None:
    handle = clave.keys.cancel_destruction("k", 1)
    assert (handle.version, handle.status, handle.destroyed_at) == (1, KeyStatus.DEPRECATED, None)
    assert clave.keys.versions("k")[0] == handle
    assert (files(keys, "date"), files(keys, "disabled")) == (0, 0)
    assert records(clave, "CANCEL_DESTRUCTION") == [("SUCCESS", None)]
    assert clave.recovery.open_intents() == ()
    assert clave.audit.verify().ok


def test_a_revoked_version_is_there_again_and_stays_out_of_use(clave: Keyclave, keys: Path) -> None:
    signature = clave.keys.sign("k", MESSAGE).signature
    clave.keys.revoke("k", "lost")
    clave.keys.destroy("k", 2)
    for version in (1, 2):
        assert clave.keys.cancel_destruction("k", version).status is KeyStatus.REVOKED
    assert (files(keys, "date"), files(keys, "disabled")) == (0, 2)
    with pytest.raises(KeyDisabled):
        clave.keys.verify("k", MESSAGE, signature)


def test_it_can_be_destroyed_again(clave: Keyclave, keys: Path) -> None:
    first = clave.keys.versions("k")[0].destroyed_at
    clave.keys.cancel_destruction("k", 1)
    second = clave.keys.destroy("k", 1).destroyed_at
    assert first is not None
    assert second is not None
    assert second > first
    assert files(keys, "date") == 1


def test_what_is_not_scheduled_is_not_called_off(clave: Keyclave) -> None:
    with pytest.raises(Conflict, match="no destruction of version 2 is scheduled") as raised:
        clave.keys.cancel_destruction("k", 2)
    assert not raised.value.retryable
    clave.keys.cancel_destruction("k", 1)
    with pytest.raises(Conflict, match="no destruction of version 1 is scheduled"):
        clave.keys.cancel_destruction("k", 1)
    with pytest.raises(KeyNotFound):
        clave.keys.cancel_destruction("k", 3)
    with pytest.raises(KeyNotFound):
        clave.keys.cancel_destruction("other", 1)
    with pytest.raises(InvalidArgument):
        clave.keys.cancel_destruction("k", 0)
    assert clave.recovery.open_intents() == ()


def test_a_key_that_is_gone_does_not_come_back(clave: Keyclave, keys: Path) -> None:
    before = clave.keys.versions("k")[0]
    for path in [*keys.glob(f"{before.provider_uri.rpartition(':')[2]}.*")]:
        path.unlink()
    with pytest.raises(KeyNotFound, match="version 1 is gone from its backend"):
        clave.keys.cancel_destruction("k", 1)
    assert clave.keys.versions("k")[0] == before
    assert clave.recovery.open_intents() == ()
    assert records(clave, "CANCEL_DESTRUCTION") == [("FAILED", None)]


def test_a_backend_that_destroys_at_once_cannot(clave: Keyclave) -> None:
    clave.keys.create("s", "ED25519", backend="software")
    clave.keys.revoke("s", "lost")
    clave.keys.destroy("s", 1)
    with pytest.raises(CapabilityUnsupported, match="does not call destructions off"):
        clave.keys.cancel_destruction("s", 1)
    assert clave.recovery.open_intents() == ()


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("method", ["cancel_destruction", "enable_key"])
def test_a_failure_is_followed_up(
    clave: Keyclave, keys: Path, failure: Exception, method: str, *, afterwards: bool
) -> None:
    with (
        failing(clave, method, failure, afterwards=afterwards, backend="shared"),
        pytest.raises(OutcomeUnknown, match="version 1 is not known to be called off yet") as raised,
    ):
        clave.keys.cancel_destruction("k", 1)
    reference = getattr(failure, "provider_reference", None)
    assert raised.value.provider_reference == reference
    assert records(clave, "CANCEL_DESTRUCTION") == [("FAILED", reference)]
    assert [intent.kind for intent in clave.recovery.open_intents()] == ["cancel"]
    with pytest.raises(Conflict, match="another change of this key is under way"):
        clave.keys.cancel_destruction("k", 1)
    assert [intent.kind for intent in clave.recovery.run()] == ["cancel"]
    assert clave.keys.versions("k")[0].destroyed_at is None
    assert (files(keys, "date"), files(keys, "disabled")) == (0, 0)
    assert records(clave, "RECOVER") == [("SUCCESS", None)]


def test_a_revoked_version_is_not_enabled_by_recovery(clave: Keyclave, keys: Path) -> None:
    clave.keys.revoke("k", "lost")
    with (
        failing(clave, "cancel_destruction", BackendUnavailable("down"), backend="shared"),
        pytest.raises(OutcomeUnknown),
    ):
        clave.keys.cancel_destruction("k", 1)
    assert [intent.kind for intent in clave.recovery.run()] == ["cancel"]
    assert clave.keys.versions("k")[0].destroyed_at is None
    assert (files(keys, "date"), files(keys, "disabled")) == (0, 2)


def test_recovery_of_a_key_that_went_meanwhile_ends(clave: Keyclave, keys: Path) -> None:
    before = clave.keys.versions("k")[0]
    with (
        failing(clave, "cancel_destruction", BackendUnavailable("down"), backend="shared"),
        pytest.raises(OutcomeUnknown),
    ):
        clave.keys.cancel_destruction("k", 1)
    for path in [*keys.glob(f"{before.provider_uri.rpartition(':')[2]}.*")]:
        path.unlink()
    assert [intent.kind for intent in clave.recovery.run()] == ["cancel"]
    assert clave.keys.versions("k")[0] == before


def test_a_key_that_is_revoked_meanwhile_does_not_stay_enabled(clave: Keyclave, keys: Path) -> None:
    """The revocation comes after the status was read, and before the key is enabled."""

    def revoke_first(real: Callable[..., None], *arguments: object) -> None:
        with replaced(clave, "enable_key", lambda real, *arguments: real(*arguments), backend="shared"):
            clave.keys.revoke("k", "lost")
        real(*arguments)

    with replaced(clave, "enable_key", revoke_first, backend="shared"):
        assert clave.keys.cancel_destruction("k", 1).status is KeyStatus.REVOKED
    assert (files(keys, "date"), files(keys, "disabled")) == (0, 2)
    assert clave.recovery.open_intents() == ()
