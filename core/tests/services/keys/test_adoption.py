"""A key that somebody else made becomes Keyclave's, or stays theirs, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from keyclave import Keyclave
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    IntegrityError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
    PolicyViolation,
)
from keyclave.models import KeyStatus
from keyclave.plugin import Signed
from keyclave.services import resolution

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced
from core.tests.services.foreign_keys import URI, foreign_settings, make_foreign_key

MESSAGE = b"message"
DOWN = BackendUnavailable("the device was unplugged")
SILENT = OutcomeUnknown("no answer")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The directory that others keep keys in as well."""
    return tmp_path / "shared"


@pytest.fixture
def pem(keys: Path) -> bytes:
    return make_foreign_key(keys)


@pytest.fixture
def settings(installed: Callable[..., None], keys: Path) -> str:
    installed("foreign")
    return foreign_settings(keys)


@pytest.fixture
def shared(reopen: Reopen, settings: str, pem: bytes) -> Keyclave:
    return reopen(settings)


def adopt(clave: Keyclave, name: str = "k", uri: str = URI, **options: Any) -> Any:
    return clave.keys.adopt(name, uri, **{"backend": "shared", **options})


def uris(clave: Keyclave) -> list[str]:
    return [key.uri for key in clave.keys.adoptable("shared")]


def kinds(clave: Keyclave) -> list[tuple[str, str]]:
    return [(record.operation_type, record.status) for record in clave.audit.records()]


def assert_foreign(clave: Keyclave, keys: Path, pem: bytes) -> None:
    """The key is as it was, and not Keyclave's."""
    assert (keys / "theirs.pem").read_bytes() == pem
    assert uris(clave) == [URI]
    assert clave.keys.list() == ()
    assert clave.recovery.open_intents() == ()


def test_an_adopted_key_is_a_key_like_any_other(shared: Keyclave, keys: Path, pem: bytes) -> None:
    handle = adopt(shared)
    assert (handle.name, handle.version, handle.algorithm, handle.status) == ("k", 1, "ED25519", KeyStatus.ACTIVE)
    assert (handle.backend_id, handle.provider_uri) == ("shared", URI)
    theirs = load_pem_private_key(pem, None)
    assert isinstance(theirs, Ed25519PrivateKey)
    assert shared.keys.public_key("k") == theirs.public_key()
    assert shared.keys.verify("k", MESSAGE, theirs.sign(MESSAGE)) == 1
    theirs.public_key().verify(shared.keys.sign("k", MESSAGE).signature, MESSAGE)
    assert uris(shared) == []
    assert (keys / "theirs.pem").read_bytes() == pem
    assert shared.rotation.rotate("k").version == 2
    assert shared.keys.verify("k", MESSAGE, theirs.sign(MESSAGE)) == 1
    assert kinds(shared)[0] == ("ADOPT", "SUCCESS")
    assert shared.audit.verify().ok


def test_a_destroyed_adopted_key_is_gone(shared: Keyclave, keys: Path) -> None:
    adopt(shared)
    shared.keys.revoke("k", "no longer needed")
    assert shared.keys.destroy("k", 1).destroyed_at is not None
    assert not (keys / "theirs.pem").exists()


def test_keys_of_others_are_listed_page_by_page_and_own_ones_are_not(shared: Keyclave, keys: Path) -> None:
    for number in range(4):
        make_foreign_key(keys, f"more{number}")
    shared.keys.create("own", "ED25519", backend="shared")
    found = shared.keys.adoptable("shared")
    assert [key.uri for key in found] == [*(f"acme-foreign:more{number}" for number in range(4)), URI]
    assert (found[-1].algorithm, found[-1].description) == ("ED25519", "file theirs")
    assert kinds(shared) == [("KEY_GENERATION", "SUCCESS")]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"uri": "acme-foreign:other"}, KeyNotFound, "no key of this address"),
        ({"uri": ""}, KeyNotFound, "no key of this address"),
        ({"name": "UPPER"}, InvalidArgument, "not a key name"),
        ({"name": "taken"}, KeyAlreadyExists, "a key of this name exists"),
        ({"algorithm": "ECDSA_P256"}, InvalidArgument, "it is a key of algorithm ED25519"),
        ({"backend": "elsewhere"}, ConfigurationError, "no backend 'elsewhere' is configured"),
        ({"backend": "software"}, CapabilityUnsupported, "does not implement list_foreign_keys and adopt_key"),
    ],
)
def test_what_cannot_be_adopted_is_refused_before_anything_happens(
    shared: Keyclave, arguments: dict[str, Any], error: type[KeyclaveError], said: str
) -> None:
    shared.keys.create("taken", "ED25519", backend="software")
    with pytest.raises(error, match=said) as caught:
        adopt(shared, **arguments)
    assert "a PKCS#11 token" in caught.value.next_step or error is not CapabilityUnsupported
    assert kinds(shared)[1:] == [("ADOPT", "FAILED")]
    assert uris(shared) == [URI]
    assert shared.recovery.open_intents() == ()


def test_the_named_algorithm_may_be_the_right_one(shared: Keyclave) -> None:
    assert adopt(shared, algorithm="ED25519").algorithm == "ED25519"


def test_fr_014_a_backend_below_the_required_level_adopts_nothing(
    reopen: Reopen, settings: str, pem: bytes, config: Path
) -> None:
    config.write_text(config.read_text().replace('type = "local"', 'type = "local"\nrequired_level = "TPM"'))
    with pytest.raises(PolicyViolation, match="FR-014"):
        adopt(reopen(settings))


def test_a_key_is_adopted_once(shared: Keyclave, reopen: Reopen, settings: str) -> None:
    """By whoever comes first: the other one finds it gone from the list, or is refused by the backend."""
    other = reopen(settings)

    def adopt_meanwhile(real: Callable[..., Any], request: Any) -> Any:
        adopt(other, "first")
        return real(request)

    with (
        replaced(shared, "adopt_key", adopt_meanwhile, backend="shared"),
        pytest.raises(KeyclaveError, match="belongs to a Keyclave already"),
    ):
        adopt(shared)
    with pytest.raises(KeyNotFound):
        adopt(shared)
    assert [handle.name for handle in shared.keys.list()] == ["first"]
    assert shared.recovery.open_intents() == ()
    assert shared.keys.verify("first", MESSAGE, shared.keys.sign("first", MESSAGE).signature) == 1


def wrong_signature(real: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[bytes], Signed]:
    sign = real(*arguments, **options)
    return lambda data: sign(data + b"something else")


def another_public_key(real: Callable[..., Any]) -> Any:
    spki = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    prefix = bytes.fromhex("302a300506032b6570032100")
    return (msgspec.structs.replace(key, public_key=prefix + spki) for key in real())


STEPS: dict[str, tuple[str, Any, type[KeyclaveError]]] = {
    "refused": ("adopt_key", DOWN, BackendUnavailable),
    "not able to sign": ("bind_signer", CapabilityUnsupported("no such scheme"), IntegrityError),
    "wrong signature": ("bind_signer", wrong_signature, IntegrityError),
    "another key": ("list_foreign_keys", another_public_key, IntegrityError),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_adoption_that_fails_leaves_the_key_as_it_was(shared: Keyclave, keys: Path, pem: bytes, step: str) -> None:
    method, behaviour, raised = STEPS[step]
    patched = failing if isinstance(behaviour, Exception) else replaced
    with patched(shared, method, behaviour, backend="shared"), pytest.raises(raised) as caught:
        adopt(shared)
    assert caught.value.operation == "adopt"
    assert_foreign(shared, keys, pem)
    assert adopt(shared).version == 1


def test_an_adoption_that_was_done_and_then_failed_is_forgotten(shared: Keyclave, keys: Path, pem: bytes) -> None:
    with failing(shared, "adopt_key", DOWN, afterwards=True, backend="shared"), pytest.raises(BackendUnavailable):
        adopt(shared)
    assert_foreign(shared, keys, pem)
    assert ("RECOVER", "SUCCESS") in kinds(shared)


def test_an_adoption_with_a_lost_answer_is_forgotten_by_recovery(shared: Keyclave, keys: Path, pem: bytes) -> None:
    with failing(shared, "adopt_key", SILENT, afterwards=True, backend="shared"), pytest.raises(OutcomeUnknown):
        adopt(shared)
    assert uris(shared) == []
    assert [intent.kind for intent in shared.recovery.open_intents()] == ["adopt"]
    assert [intent.kind for intent in shared.recovery.run()] == ["adopt"]
    assert_foreign(shared, keys, pem)


def test_an_adoption_whose_process_died_is_forgotten_at_the_next_start(
    shared: Keyclave, reopen: Reopen, settings: str, keys: Path, pem: bytes
) -> None:
    with failing(shared, "adopt_key", SILENT, afterwards=True, backend="shared"), pytest.raises(OutcomeUnknown):
        adopt(shared)
    shared.close()
    again = reopen(settings)
    assert [intent.kind for intent in again.recovered] == ["adopt"]
    assert_foreign(again, keys, pem)


def test_a_late_answer_is_waited_for(
    reopen: Reopen, settings: str, keys: Path, pem: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = settings + 'location = "remote"\n'
    first = reopen(remote)
    late: list[Callable[[], Any]] = []

    def answer_late(real: Callable[..., Any], request: Any) -> Any:
        late.append(lambda: real(request))
        raise SILENT

    with replaced(first, "adopt_key", answer_late, backend="shared"), pytest.raises(OutcomeUnknown):
        adopt(first)
    assert first.recovery.run() == ()
    late[0]()
    assert [intent.kind for intent in first.recovery.run()] == ["adopt"]
    assert_foreign(first, keys, pem)
    with replaced(first, "adopt_key", answer_late, backend="shared"), pytest.raises(OutcomeUnknown):
        adopt(first)
    monkeypatch.setattr(resolution, "_SETTLED_AFTER", -resolution._SETTLED_AFTER)
    assert [intent.kind for intent in first.recovery.run()] == ["adopt"]
    assert_foreign(first, keys, pem)


def test_what_cannot_be_forgotten_yet_stays_open(shared: Keyclave, keys: Path, pem: bytes) -> None:
    with (
        failing(shared, "forget_key", DOWN, backend="shared"),
        failing(shared, "adopt_key", DOWN, afterwards=True, backend="shared"),
        pytest.raises(BackendUnavailable),
    ):
        adopt(shared)
    assert [intent.kind for intent in shared.recovery.open_intents()] == ["adopt"]
    assert (keys / "theirs.pem").read_bytes() == pem
    assert len(shared.recovery.run()) == 1
    assert_foreign(shared, keys, pem)
