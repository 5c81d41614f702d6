"""What a bound signer does with data and with signatures, each signature checked by `cryptography`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import product
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyclave.backends.backend import Backend
from keyclave.backends.manager import BackendManager
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    IntegrityError,
    InvalidArgument,
    KeyDisabled,
)
from keyclave.plugin import CreatedKey, Location, SignatureEncoding, Signed, SigningInput

Open = Callable[..., Backend]
Created = Callable[..., CreatedKey]
MESSAGE = b"a message"
DIGEST = hashlib.sha256(MESSAGE).digest()


def object_of(backend: Backend) -> Any:
    """The plugin's own object behind a backend."""
    return backend.calls._relay.sign.get_hookimpls()[0].plugin


def verify(made: CreatedKey, signed: Signed, message: bytes = MESSAGE) -> None:
    public_key = load_der_public_key(made.public_key or b"")
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signed.signature, message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("location", "signs", "encoding"), list(product(Location, SigningInput, ("der", "p1363"))))
def test_every_way_to_sign_gives_the_same_public_form(
    acme: Open, created: Created, location: Location, signs: SigningInput, encoding: str
) -> None:
    backend = acme(location=location, input=signs, encoding=SignatureEncoding(encoding))
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    signed = sign(MESSAGE)
    verify(made, signed)
    assert signed.provider_reference == "acme-request"
    if signs is SigningInput.DIGEST:
        prehashed = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=True)
        verify(made, prehashed(DIGEST))


@pytest.mark.parametrize("location", list(Location))
def test_ed25519_signs_messages(acme: Open, created: Created, location: Location) -> None:
    backend = acme(location=location)
    made = created(backend, "ED25519")
    signed = backend.bind_signer(made.reference, made.public_key, "ED25519", prehashed=False)(MESSAGE)
    public_key: Any = load_der_public_key(made.public_key or b"")
    public_key.verify(signed.signature, MESSAGE)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_any_bytes_are_signed_whatever_holds_them(
    acme: Open, created: Created, data: bytes, kind: Callable[[bytes], Any]
) -> None:
    backend = acme()
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    verify(made, sign(kind(data)), data)


@pytest.mark.parametrize("signs", list(SigningInput))
@pytest.mark.parametrize("data", ["text", None, 7, [1], memoryview(b"x")], ids=type)
def test_what_is_not_bytes_is_refused(acme: Open, created: Created, data: Any, signs: SigningInput) -> None:
    backend = acme(input=signs)
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    if isinstance(data, memoryview):
        data.release()
    with pytest.raises(InvalidArgument, match=f"data must be bytes, not {type(data).__name__}"):
        sign(data)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_digest_of_another_length_is_not_sent(acme: Open, created: Created, size: int) -> None:
    backend = acme(input="digest")
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=True)
    object_of(backend).keys.clear()  # so that a call would show
    with pytest.raises(InvalidArgument, match=f"a digest for ECDSA_SHA256 has 32 bytes, not {size}"):
        sign(bytes(size))


def test_a_digest_for_a_backend_that_hashes_itself_is_refused_when_bound(acme: Open, created: Created) -> None:
    backend = acme(input="message")
    for algorithm, scheme in (("ECDSA_P256", "ECDSA_SHA256"), ("ED25519", "ED25519")):
        made = created(backend, algorithm)
        with pytest.raises(CapabilityUnsupported, match="hashes the message itself"):
            backend.bind_signer(made.reference, made.public_key, scheme, prehashed=True)


def test_a_scheme_that_the_backend_does_not_have_is_refused_when_bound(acme: Open, created: Created) -> None:
    backend = acme()
    made = created(backend)
    with pytest.raises(CapabilityUnsupported, match="does not sign with ED25519 and keys of ECDSA_P256"):
        backend.bind_signer(made.reference, made.public_key, "ED25519", prehashed=False)
    with pytest.raises(InvalidArgument, match="unknown signature scheme"):
        backend.bind_signer(made.reference, made.public_key, "ROT13", prehashed=False)


def test_a_message_longer_or_shorter_than_the_backend_takes_is_not_sent(acme: Open, created: Created) -> None:
    backend = acme()
    made = created(backend, "ED25519")
    sign = backend.bind_signer(made.reference, made.public_key, "ED25519", prehashed=False)
    assert sign(bytes(4096)).signature
    with pytest.raises(InvalidArgument, match="at most 4096 bytes, not 4097"):
        sign(bytes(4097))
    assert sign(bytes(1)).signature
    with pytest.raises(InvalidArgument, match="at least 1 bytes, not 0"):
        sign(b"")


@pytest.mark.parametrize(
    ("location", "level"), [("device", "SOFTWARE"), ("remote", "SOFTWARE"), ("in_process", "TPM")]
)
@pytest.mark.parametrize("encoding", ["der", "p1363"])
def test_a_signature_by_another_key_is_never_released(
    acme: Open, created: Created, location: str, level: str, encoding: str
) -> None:
    backend = acme(location=location, level=level, encoding=encoding)
    made, other = created(backend), created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    verify(made, sign(MESSAGE))
    keys = object_of(backend).keys
    keys[made.reference.label] = keys[other.reference.label]
    with pytest.raises(
        IntegrityError, match="the signature that the backend made is wrong, and was dropped"
    ) as raised:
        sign(MESSAGE)
    assert (raised.value.operation, raised.value.backend_id) == ("sign", "acme")
    assert raised.value.__context__ is None


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)])
def test_a_signature_in_no_encoding_is_never_released(acme: Open, created: Created, signature: bytes) -> None:
    for encoding, location in (("p1363", "in_process"), ("p1363", "device"), ("der", "device")):
        backend = acme(encoding=encoding, location=location)
        made = created(backend)
        answer_with(backend, Signed(signature=signature))
        with pytest.raises(IntegrityError):
            backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)(MESSAGE)


def answer_with(backend: Backend, answer: object) -> None:
    """Let the plugin's object return something else from sign. To be done before a key is bound."""
    implementation = backend.calls._relay.sign.get_hookimpls()[0]
    object.__setattr__(implementation, "function", lambda *_: answer)


def test_without_a_stored_public_key_a_device_does_not_sign(acme: Open, created: Created) -> None:
    backend = acme(location="device")
    made = created(backend)
    with pytest.raises(IntegrityError, match="no public key is stored"):
        backend.bind_signer(made.reference, None, "ECDSA_SHA256", prehashed=False)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"signature",
        msgspec.structs.replace(Signed(signature=b""), signature="text"),
        msgspec.structs.replace(Signed(signature=b""), provider_reference=b"reference"),
    ],
    ids=["nothing", "bytes", "text", "reference"],
)
def test_a_wrong_answer_takes_the_backend_out_of_use(acme: Open, created: Created, answer: object) -> None:
    for location in Location:
        backend = acme(location=location)
        made = created(backend)
        healthy = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
        answer_with(backend, answer)
        sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
        with pytest.raises(BackendUnavailable, match="where a whole Signed is due"):
            sign(MESSAGE)
        with pytest.raises(BackendUnavailable, match="out of use"):
            healthy(MESSAGE)


@pytest.mark.parametrize("location", ["in_process", "device"])
@pytest.mark.parametrize("foreign", [ValueError("canary"), SystemExit("canary")])
def test_a_foreign_exception_is_told_by_type_and_place(
    acme: Open, created: Created, location: str, foreign: BaseException
) -> None:
    backend = acme(location=location)
    made = created(backend)
    implementation = backend.calls._relay.sign.get_hookimpls()[0]
    object.__setattr__(implementation, "function", lambda *_: throw(foreign))
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    with pytest.raises(
        BackendUnavailable, match=r"(?m)the plugin raised \w+ at backends/test_signer.py:\d+$"
    ) as raised:
        sign(MESSAGE)
    assert raised.value.__context__ is None
    assert not raised.value.retryable  # the plugin is at fault, and will be at the next call


def throw(error: BaseException) -> None:
    raise error


def test_the_users_interrupt_passes(acme: Open, created: Created) -> None:
    backend = acme()
    made = created(backend)
    implementation = backend.calls._relay.sign.get_hookimpls()[0]
    object.__setattr__(implementation, "function", lambda *_: throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)(MESSAGE)


def test_a_closed_backend_does_not_sign(
    installed: Callable[..., None], manage: Callable[..., BackendManager], created: Created
) -> None:
    installed("acme")
    manager = manage("acme")
    backend = manager.get("acme")
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    assert sign(MESSAGE)
    manager.close()
    with pytest.raises(BackendUnavailable, match="it is closed"):
        sign(MESSAGE)


def test_a_disabled_key_says_so_through_a_worker_too(acme: Open, created: Created) -> None:
    backend = acme(location="remote")
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    backend.disable_key(made.reference)
    with pytest.raises(KeyDisabled, match="sign backend 'acme': the key is disabled"):
        sign(MESSAGE)


def test_the_oracle_of_these_tests_can_say_no(acme: Open, created: Created) -> None:
    backend = acme()
    made = created(backend)
    signed = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)(MESSAGE)
    with pytest.raises(InvalidSignature):
        verify(made, signed, b"another message")
