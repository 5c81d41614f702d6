"""Whatever the token answers at whatever call: a documented error, nothing half done, and life after it."""

from __future__ import annotations

import itertools
import re
import threading
import time
from pathlib import Path

import pytest
from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    Conflict,
    DecryptionFailed,
    IntegrityError,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import AvailabilityStatus
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11.constants import Attribute
from pkcs11_tests.backends import NewLabel, Open, create, sign_and_verify
from pkcs11_tests.proxy import EVERY_CALL, Proxy

from tests.services.tokens import Token

pytestmark = [
    pytest.mark.needs("softhsm"),
    pytest.mark.needs("cc"),
    # python-pkcs11 ends a search, or a signature, that never began, and prints what the token says to that.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DIGEST = bytes(32)
LOST = {
    "DEVICE_ERROR": 0x30,
    "DEVICE_REMOVED": 0x32,
    "SESSION_CLOSED": 0xB0,
    "SESSION_HANDLE_INVALID": 0xB3,
    "SLOT_ID_INVALID": 0x03,
    "TOKEN_NOT_PRESENT": 0xE0,
    "TOKEN_NOT_RECOGNIZED": 0xE1,
    "USER_NOT_LOGGED_IN": 0x101,
    "CRYPTOKI_NOT_INITIALIZED": 0x190,
}
STALE = {"KEY_HANDLE_INVALID": 0x60, "OBJECT_HANDLE_INVALID": 0x82}
STALE |= {"UNWRAPPING_KEY_HANDLE_INVALID": 0xF0, "WRAPPING_KEY_HANDLE_INVALID": 0x113}
# CKR: code, error, whether the same call may succeed later.
ANSWERS: dict[str, tuple[int, type[KeyclaveError], bool]] = {
    **{name: (code, BackendUnavailable, True) for name, code in LOST.items()},
    **{name: (code, Conflict, True) for name, code in STALE.items()},
    "HOST_MEMORY": (0x02, BackendUnavailable, True),
    "GENERAL_ERROR": (0x05, BackendUnavailable, True),
    "FUNCTION_FAILED": (0x06, BackendUnavailable, True),
    "ARGUMENTS_BAD": (0x07, CapabilityUnsupported, False),
    "ATTRIBUTE_READ_ONLY": (0x10, AccessDenied, False),
    "ATTRIBUTE_SENSITIVE": (0x11, AccessDenied, False),
    "ATTRIBUTE_TYPE_INVALID": (0x12, CapabilityUnsupported, False),
    "ATTRIBUTE_VALUE_INVALID": (0x13, CapabilityUnsupported, False),
    "ACTION_PROHIBITED": (0x1B, AccessDenied, False),
    "DATA_INVALID": (0x20, InvalidArgument, False),
    "DATA_LEN_RANGE": (0x21, InvalidArgument, False),
    "DEVICE_MEMORY": (0x31, BackendUnavailable, True),
    "ENCRYPTED_DATA_INVALID": (0x40, DecryptionFailed, False),
    "ENCRYPTED_DATA_LEN_RANGE": (0x41, DecryptionFailed, False),
    "FUNCTION_CANCELED": (0x50, BackendUnavailable, True),
    "FUNCTION_NOT_SUPPORTED": (0x54, CapabilityUnsupported, False),
    "KEY_SIZE_RANGE": (0x62, CapabilityUnsupported, False),
    "KEY_TYPE_INCONSISTENT": (0x63, CapabilityUnsupported, False),
    "KEY_FUNCTION_NOT_PERMITTED": (0x68, KeyDisabled, False),
    "KEY_NOT_WRAPPABLE": (0x69, CapabilityUnsupported, False),
    "KEY_UNEXTRACTABLE": (0x6A, CapabilityUnsupported, False),
    "MECHANISM_INVALID": (0x70, CapabilityUnsupported, False),
    "MECHANISM_PARAM_INVALID": (0x71, CapabilityUnsupported, False),
    "OPERATION_ACTIVE": (0x90, BackendUnavailable, True),
    "OPERATION_NOT_INITIALIZED": (0x91, BackendUnavailable, True),
    "PIN_INCORRECT": (0xA0, AuthenticationFailed, False),
    "PIN_INVALID": (0xA1, AuthenticationFailed, False),
    "PIN_LEN_RANGE": (0xA2, AuthenticationFailed, False),
    "PIN_EXPIRED": (0xA3, AuthenticationFailed, False),
    "PIN_LOCKED": (0xA4, AuthenticationFailed, False),
    "SESSION_COUNT": (0xB1, BackendUnavailable, True),
    "SESSION_READ_ONLY": (0xB5, AccessDenied, False),
    "TEMPLATE_INCOMPLETE": (0xD0, CapabilityUnsupported, False),
    "TEMPLATE_INCONSISTENT": (0xD1, CapabilityUnsupported, False),
    "TOKEN_WRITE_PROTECTED": (0xE2, AccessDenied, False),
    "USER_PIN_NOT_INITIALIZED": (0x102, ConfigurationError, False),
    "USER_ANOTHER_ALREADY_LOGGED_IN": (0x104, AccessDenied, False),
    "USER_TOO_MANY_TYPES": (0x105, AccessDenied, False),
    "WRAPPED_KEY_INVALID": (0x110, InvalidArgument, False),
    "WRAPPED_KEY_LEN_RANGE": (0x112, InvalidArgument, False),
    "CURVE_NOT_SUPPORTED": (0x140, CapabilityUnsupported, False),
    "BUFFER_TOO_SMALL": (0x150, BackendUnavailable, False),
    "FUNCTION_REJECTED": (0x200, AccessDenied, False),
    "TOKEN_RESOURCE_EXCEEDED": (0x201, BackendUnavailable, True),
    "0x80000001": (0x80000001, BackendUnavailable, False),
}


@pytest.fixture
def backend(open_backend: Open, proxied: Token) -> Pkcs11Backend:
    return open_backend(proxied)


@pytest.mark.parametrize(
    ("name", "function"),
    # python-pkcs11 takes a buffer that is too small for an answer that it may go on after.
    [(name, "Sign") for name in ANSWERS] + [(name, "SignInit") for name in ANSWERS if name != "BUFFER_TOO_SMALL"],
)
def test_every_ckr_is_a_documented_error(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, name: str, function: str
) -> None:
    created = create(backend, new_label(), "ECDSA_P256")
    code, kind, retryable = ANSWERS[name]
    proxy.answer(function, code, times=EVERY_CALL)
    with pytest.raises(kind) as caught:
        backend.sign(key=created.reference, data=DIGEST, scheme="ECDSA_SHA256")
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable
    assert f"CKR_{name}" in caught.value.message
    assert caught.value.next_step
    proxy.reset()
    assert created.public_key is not None
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"life goes on")


def test_the_readme_has_every_ckr() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`CKR_([A-Z_]+)`", readme))
    assert {name for name in ANSWERS if not name.startswith("0x")} <= documented


@pytest.mark.parametrize("function", ["SignInit", "Sign", "FindObjectsInit", "FindObjects", "GetAttributeValue"])
@pytest.mark.parametrize("name", [*LOST, *STALE])
def test_a_lost_session_is_opened_again_and_the_key_found_again(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, name: str, function: str
) -> None:
    created = create(backend, new_label(), "ECDSA_P256")
    assert created.public_key is not None
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"before")
    proxy.reset()
    proxy.answer(function, (LOST | STALE)[name])
    if function not in {"SignInit", "Sign"}:
        backend.find_key(label=created.reference.label)
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"after")
    if function != "GetAttributeValue":  # which python-pkcs11 asks again, so that one failure is nothing to it
        assert proxy.calls("Login") == (1 if name in LOST else 0)
    assert backend._pool._count == len(backend._pool._free)


def test_a_token_that_comes_back_is_used_again(backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel) -> None:
    created = create(backend, new_label(), "ECDSA_P256")
    assert created.public_key is not None
    proxy.remove()
    with pytest.raises(BackendUnavailable, match="has no token") as caught:
        backend.sign(key=created.reference, data=DIGEST, scheme="ECDSA_SHA256")
    assert caught.value.retryable
    assert backend.check_health().status is AvailabilityStatus.UNAVAILABLE
    proxy.remove(out=False)
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"after")


def test_after_a_loss_a_key_in_the_place_of_another_one_does_not_sign(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    label = new_label()
    first = create(backend, label, "ECDSA_P256")
    backend.sign(key=first.reference, data=DIGEST, scheme="ECDSA_SHA256")
    backend.destroy_key(key=first.reference)
    create(backend, label, "ECDSA_P256")
    proxy.reset()
    proxy.answer("SignInit", LOST["DEVICE_REMOVED"])
    with pytest.raises(IntegrityError, match="not the one that was created"):
        backend.sign(key=first.reference, data=DIGEST, scheme="ECDSA_SHA256")
    assert proxy.calls("Sign") == 0


def test_swapped_handles_make_a_signature_that_does_not_verify(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    """The backend cannot see it; the core verifies every signature of a device, and does."""
    one, other = (create(backend, new_label(), "ECDSA_P256") for _ in range(2))
    session = backend._pool.take()
    handles = [
        backend._signing._signers(session, key.reference)["ECDSA_SHA256"].func.__self__.handle  # type: ignore[attr-defined]
        for key in (one, other)
    ]
    backend._pool.give(session)
    proxy.swap(*handles)
    assert one.public_key is not None
    assert other.public_key is not None
    with pytest.raises(KeyclaveError):
        sign_and_verify(backend, one.reference, one.public_key, "ECDSA_SHA256", b"message")
    sign_and_verify(backend, one.reference, other.public_key, "ECDSA_SHA256", b"message")


def test_a_call_that_hangs_holds_up_no_other(backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel) -> None:
    created = create(backend, new_label(), "ECDSA_P256")
    assert created.public_key is not None
    proxy.hang("Sign")
    failures: list[BaseException] = []

    def hang() -> None:
        try:
            backend.sign(key=created.reference, data=DIGEST, scheme="ECDSA_SHA256")
        except BaseException as error:
            failures.append(error)

    hanging = threading.Thread(target=hang)
    hanging.start()
    while proxy.calls("Sign") == 0:
        time.sleep(0.001)
    for _ in range(20):
        sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"message")
    assert hanging.is_alive()
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    proxy.reset()
    hanging.join(10)
    assert not hanging.is_alive()
    assert failures == []  # its call failed in the end, and was repeated


def test_all_sessions_in_use_is_said_and_not_waited_for_without_end(
    open_backend: Open, proxied: Token, proxy: Proxy, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(proxied, sessions=1)
    key = create(backend, new_label(), "ECDSA_P256").reference
    monkeypatch.setattr("keyclave_pkcs11_hsm.sessions._WAIT_SECONDS", 0.05)
    session = backend._pool.take()
    with pytest.raises(BackendUnavailable, match="all 1 sessions are in use"):
        backend.sign(key=key, data=DIGEST, scheme="ECDSA_SHA256")
    backend._pool.give(session)
    backend.sign(key=key, data=DIGEST, scheme="ECDSA_SHA256")


CREATION = ["GenerateKeyPair", "FindObjectsInit", "FindObjects", "GetAttributeValue", "FindObjectsFinal"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("function", CREATION)
def test_a_creation_that_fails_leaves_nothing_or_a_whole_key(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, function: str, moment: str
) -> None:
    for first, code in itertools.product((1, 2, 3, 5, 8), (0x05, LOST["DEVICE_REMOVED"], 0x31)):
        label = new_label()
        proxy.reset()
        proxy.answer(function, code, first=first, after=moment == "after")
        try:
            created = create(backend, label, "ECDSA_P256")
        except (BackendUnavailable, OutcomeUnknown):
            proxy.reset()
            assert objects_with(backend, str(label)) == 0
            with pytest.raises(KeyNotFound):
                backend.find_key(label=label)
        else:
            proxy.reset()
            assert objects_with(backend, str(label)) == 2
            assert backend.find_key(label=label) == created.reference


def objects_with(backend: Pkcs11Backend, label: str) -> int:
    session = backend._pool.take()
    found = list(session.raw.get_objects({Attribute.LABEL: label}))
    backend._pool.give(session)
    return len(found)


def test_a_creation_without_an_answer_and_without_a_look_is_unknown(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    label = new_label()
    proxy.answer("GenerateKeyPair", LOST["DEVICE_REMOVED"], times=EVERY_CALL, after=True)
    proxy.answer("OpenSession", LOST["DEVICE_REMOVED"], times=EVERY_CALL)
    with pytest.raises(OutcomeUnknown):
        create(backend, label, "ECDSA_P256")
    proxy.reset()
    key = backend.find_key(label=label)
    assert create(backend, label, "ECDSA_P256").reference == key


def test_a_destruction_without_an_answer_is_unknown_and_can_be_repeated(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    key = create(backend, new_label(), "ECDSA_P256").reference
    proxy.answer("DestroyObject", LOST["DEVICE_REMOVED"], times=EVERY_CALL)
    with pytest.raises(OutcomeUnknown):
        backend.destroy_key(key=key)
    proxy.reset()
    backend.destroy_key(key=key)
    assert objects_with(backend, str(key.label)) == 0


def test_a_wrong_tag_and_a_token_that_fails_are_told_apart(
    backend: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    key = create(backend, new_label(), "AES_256").reference
    ciphertext = backend.encrypt(key=key, plaintext=b"data key", aad=b"").ciphertext
    with pytest.raises(DecryptionFailed):
        backend.decrypt(key=key, ciphertext=ciphertext, aad=b"other")
    proxy.answer("Decrypt", 0x05, times=EVERY_CALL)
    with pytest.raises(BackendUnavailable):
        backend.decrypt(key=key, ciphertext=ciphertext, aad=b"")
    proxy.reset()
    assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"").plaintext == b"data key"
