"""An opened backend: what services may rely on, whatever the plugin returns or raises."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import keyclave
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave.backends.backend import Backend
from keyclave.backends.manager import BackendManager
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    DecryptionFailed,
    IntegrityError,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import AvailabilityStatus
from keyclave.plugin import (
    AdoptKeyRequest,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    ForeignKey,
    ForeignKeyPage,
    ImportKeyRequest,
    KeyLabel,
    KeyPage,
    KeyReference,
    PublicKey,
    WrappedKey,
)

from core.tests.services.foreign_keys import make_foreign_key

Open = Callable[..., Backend]
Requests = Callable[..., CreateKeyRequest]
Created = Callable[..., CreatedKey]
PACKAGE = str(Path(keyclave.__file__).parent)
LOCATIONS = ["in_process", "device"]


def replace(backend: Backend, hook: str, behaviour: Callable[..., object]) -> None:
    """Let the plugin's object do something else for one hook from now on."""
    implementation = getattr(backend.calls._relay, hook).get_hookimpls()[0]
    names = implementation.argnames
    object.__setattr__(implementation, "function", lambda *args: behaviour(**dict(zip(names, args, strict=True))))


def raising(error: BaseException) -> Callable[..., object]:
    def raise_it(**_: object) -> object:
        raise error

    return raise_it


@pytest.fixture
def shared(installed: Callable[..., None], manage: Callable[..., BackendManager], tmp_path: Path) -> Backend:
    """The test plugin that adopts, with one key of somebody else."""
    installed("foreign")
    make_foreign_key(tmp_path / "shared")
    return manage("acme-foreign", keys=str(tmp_path / "shared")).get("acme-foreign")


# What works


def test_a_key_lives_and_dies(acme: Open, request_for: Requests) -> None:
    backend = acme()
    request = request_for()
    made = backend.create_key(request)
    assert backend.create_key(request).reference == made.reference
    assert backend.find_key(request.label) == made.reference
    assert backend.public_key(made.reference).spki == made.public_key
    backend.disable_key(made.reference)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    with pytest.raises(KeyDisabled) as refused:
        sign(b"message")
    assert (refused.value.operation, refused.value.backend_id) == ("sign", "acme")
    backend.enable_key(made.reference)
    assert sign(b"message").signature
    assert backend.destroy_key(made.reference).state is DestroyState.DESTROYED
    with pytest.raises(KeyNotFound):
        backend.find_key(request.label)


def test_pages_are_joined(acme: Open, created: Created) -> None:
    backend = acme(page_size=2)
    made = [created(backend).reference for _ in range(5)]
    assert list(backend.list_keys()) == made


def test_what_it_is_and_how_it_is(acme: Open) -> None:
    backend = acme()
    assert (backend.id, backend.provider_type, backend.accept_simulator) == ("acme", "acme", False)
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    support = backend.support("ED25519")
    assert support is not None
    assert support.algorithm == "ED25519"
    assert backend.support("RSA_2048") is None
    assert repr(backend) == "<Backend 'acme' acme>"


@pytest.mark.parametrize("location", LOCATIONS)
def test_data_comes_back(acme: Open, created: Created, location: str) -> None:
    backend = acme(location=location)
    key = created(backend, "AES_256").reference
    sealed = backend.encrypt(key, b"data key", b"context")
    assert backend.decrypt(key, sealed.ciphertext, bytearray(b"context")).plaintext == b"data key"  # type: ignore[arg-type]
    assert backend.mac(key, b"data").tag == backend.mac(key, memoryview(b"data")).tag  # type: ignore[arg-type]
    with pytest.raises(DecryptionFailed):
        backend.decrypt(key, sealed.ciphertext, b"another context")


def test_a_key_of_somebody_else_is_adopted_and_forgotten(shared: Backend, request_for: Requests) -> None:
    (foreign,) = shared.list_foreign_keys()
    request = AdoptKeyRequest(label=request_for().label, uri=foreign.uri, algorithm=foreign.algorithm)
    adopted = shared.adopt_key(request)
    assert shared.adopt_key(request) == adopted
    assert (adopted.reference.uri, adopted.public_key) == (foreign.uri, foreign.public_key)
    assert shared.find_key(request.label) == adopted.reference
    assert list(shared.list_keys()) == [adopted.reference]
    assert list(shared.list_foreign_keys()) == []
    for _ in range(2):
        shared.forget_key(adopted.reference)
    assert list(shared.list_foreign_keys()) == [foreign]
    with pytest.raises(KeyNotFound):
        shared.find_key(request.label)


_ED25519 = bytes.fromhex("302a300506032b6570032100") + Ed25519PrivateKey.generate().public_key().public_bytes_raw()


def _changed(field: str, value: object) -> Callable[..., Any]:
    """Answer an adoption with one field of the reference, or of the answer, changed."""

    def answer(request: AdoptKeyRequest) -> CreatedKey:
        reference = KeyReference(label=request.label, uri=request.uri, algorithm=request.algorithm)
        made = CreatedKey(reference=reference, public_key=_ED25519, exportable=False, hsm_backed=False)
        if field in KeyReference.__struct_fields__:
            return msgspec.structs.replace(made, reference=msgspec.structs.replace(reference, **{field: value}))
        return msgspec.structs.replace(made, **{field: value})

    return answer


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("uri", "acme-foreign:another", "it adopted a key of another address"),
        ("uri", "nowhere", "does not have the form"),
        ("algorithm", "ECDSA_P256", "it made a key of algorithm 'ECDSA_P256'"),
        ("public_key", None, "without a public key"),
        ("public_key", b"no key", "it answered with a bad public key"),
        ("hsm_backed", True, "which nothing shows"),
    ],
)
def test_what_was_adopted_is_compared_with_what_was_asked(
    shared: Backend, request_for: Requests, field: str, value: object, problem: str
) -> None:
    (foreign,) = shared.list_foreign_keys()
    replace(shared, "adopt_key", _changed(field, value))
    with pytest.raises(IntegrityError, match=problem):
        shared.adopt_key(AdoptKeyRequest(label=request_for().label, uri=foreign.uri, algorithm="ED25519"))


@pytest.mark.parametrize(
    ("uri", "algorithm", "problem"),
    [("nowhere", "ED25519", "does not have the form"), ("acme-foreign:1", "AES_256", "does not describe")],
)
def test_a_foreign_key_that_cannot_be_is_not_listed(shared: Backend, uri: str, algorithm: str, problem: str) -> None:
    key = ForeignKey(uri=uri, algorithm=algorithm, description="")
    replace(shared, "list_foreign_keys", lambda page: ForeignKeyPage(keys=(key,)))
    with pytest.raises(IntegrityError, match=problem):
        list(shared.list_foreign_keys())


def test_a_page_of_foreign_keys_that_comes_again_is_refused(shared: Backend) -> None:
    replace(shared, "list_foreign_keys", lambda page: ForeignKeyPage(keys=(), next_page="again"))
    with pytest.raises(IntegrityError, match="it repeats a page"):
        list(shared.list_foreign_keys())


@pytest.mark.parametrize("hook", ["adopt_key", "forget_key"])
def test_an_adoption_without_an_answer_may_have_happened(shared: Backend, request_for: Requests, hook: str) -> None:
    record = AdoptKeyRequest if hook == "adopt_key" else KeyReference
    replace(shared, hook, raising(OSError("canary")))
    with pytest.raises(OutcomeUnknown) as raised:
        getattr(shared, hook)(record(label=request_for().label, uri="acme-foreign:theirs", algorithm="ED25519"))
    assert "canary" not in str(raised.value)


def test_a_backend_without_the_hooks_adopts_nothing(acme: Open, request_for: Requests) -> None:
    backend = acme()
    request = AdoptKeyRequest(label=request_for().label, uri="acme:1", algorithm="ED25519")
    for call in (backend.list_foreign_keys, lambda: backend.adopt_key(request)):
        with pytest.raises(CapabilityUnsupported, match="does not implement"):
            call()


# What is refused before anything happens


@pytest.mark.parametrize(
    ("hook", "call"),
    [
        ("attest_key", lambda backend, key: backend.attest_key(key, bytes(16))),
        ("wrap_key", lambda backend, key: backend.wrap_key(key, b"", "method")),
        (
            "begin_import",
            lambda backend, key: backend.begin_import(
                ImportKeyRequest(label=key.label, algorithm="ED25519", exportable=False)
            ),
        ),
    ],
)
def test_a_hook_that_is_not_implemented(
    acme: Open, created: Created, hook: str, call: Callable[[Backend, KeyReference], object]
) -> None:
    backend = acme()
    key = created(backend).reference
    assert not backend.has(hook)
    with pytest.raises(CapabilityUnsupported, match=f"does not implement {hook}") as refused:
        call(backend, key)
    assert (refused.value.operation, refused.value.backend_id) == (hook, "acme")


def test_list_keys_refuses_at_the_call_and_not_at_the_first_key(acme: Open) -> None:
    backend = acme()
    backend.calls._relay.list_keys._hookimpls.clear()
    with pytest.raises(CapabilityUnsupported):
        backend.list_keys()


def test_an_algorithm_that_the_backend_does_not_have(acme: Open, request_for: Requests) -> None:
    backend = acme()
    replace(backend, "create_key", raising(AssertionError("it was called")))
    with pytest.raises(CapabilityUnsupported, match="it has no RSA_2048"):
        backend.create_key(request_for("RSA_2048"))
    with pytest.raises(InvalidArgument, match="unknown algorithm"):
        backend.create_key(request_for("ROT13"))


def test_data_that_the_backend_cannot_take(acme: Open, created: Created) -> None:
    backend = acme(min_plaintext=2)
    key = created(backend, "AES_256").reference
    signing = created(backend).reference
    replace(backend, "encrypt", raising(AssertionError("it was called")))
    with pytest.raises(InvalidArgument, match="encrypts at most 64 bytes"):
        backend.encrypt(key, bytes(65))
    with pytest.raises(InvalidArgument, match="encrypts at least 2 bytes, not 1"):
        backend.encrypt(key, b"1")
    with pytest.raises(InvalidArgument, match="plaintext must be bytes, not str"):
        backend.encrypt(key, "text")  # type: ignore[arg-type]
    with pytest.raises(CapabilityUnsupported, match="cannot bind associated data"):
        backend.encrypt(signing, b"data", b"context")
    with pytest.raises(CapabilityUnsupported, match="has no ECDSA_P384"):
        backend.encrypt(msgspec.structs.replace(key, algorithm="ECDSA_P384"), b"data")
    with pytest.raises(InvalidArgument, match="aad must be bytes, not NoneType"):
        backend.decrypt(key, b"", None)  # type: ignore[arg-type]


# What a plugin raises


@pytest.mark.parametrize(
    ("hook", "call", "expected"),
    [
        ("find_key", lambda b, k, r: b.find_key(k.label), BackendUnavailable),
        ("list_keys", lambda b, k, r: list(b.list_keys()), BackendUnavailable),
        ("public_key", lambda b, k, r: b.public_key(k), BackendUnavailable),
        ("check_health", lambda b, k, r: b.check_health(), BackendUnavailable),
        ("encrypt", lambda b, k, r: b.encrypt(k, b"data"), BackendUnavailable),
        ("decrypt", lambda b, k, r: b.decrypt(k, b"data"), BackendUnavailable),
        ("create_key", lambda b, k, r: b.create_key(r), OutcomeUnknown),
        ("destroy_key", lambda b, k, r: b.destroy_key(k), OutcomeUnknown),
        ("enable_key", lambda b, k, r: b.enable_key(k), OutcomeUnknown),
        ("disable_key", lambda b, k, r: b.disable_key(k), OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("foreign", [RuntimeError("canary"), SystemExit("canary"), KeyboardInterrupt("canary")])
def test_a_foreign_exception_is_told_by_type_and_place(  # noqa: PLR0917  the table's columns
    acme: Open,
    created: Created,
    request_for: Requests,
    hook: str,
    call: Callable[[Backend, KeyReference, CreateKeyRequest], object],
    expected: type[KeyclaveError],
    foreign: BaseException,
) -> None:
    backend = acme(location="device")
    key = created(backend, "AES_256").reference
    replace(backend, hook, raising(foreign))
    with pytest.raises(expected, match=r"(?m)the plugin raised \w+ at backends/test_backend.py:\d+$") as raised:
        call(backend, key, request_for())
    error = raised.value
    assert type(error) is expected
    assert (error.operation, error.backend_id) == (hook, "acme")
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(error)) + repr(pickle.dumps(error))
    if expected is BackendUnavailable:
        assert backend.find_key(key.label) if hook != "find_key" else True, "one exception is not the end of it"


def test_an_error_of_keyclave_passes_with_its_place_and_without_its_history(acme: Open, created: Created) -> None:
    backend = acme()
    key = created(backend).reference
    history = RuntimeError("canary")
    error = KeyNotFound("no such key", key_name="mine")
    error.__cause__ = error.__context__ = history
    replace(backend, "find_key", raising(error))
    with pytest.raises(KeyNotFound, match="find_key backend 'acme' key 'mine': no such key") as raised:
        backend.find_key(key.label)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert "raise_it" not in frames


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_plaintext_is_in_no_traceback(acme: Open, created: Created, location: str) -> None:
    backend = acme(location=location)
    key = created(backend, "AES_256").reference
    for error in (RuntimeError("no"), KeyDisabled("no")):
        replace(backend, "encrypt", raising(error))
        with pytest.raises(KeyclaveError) as raised:
            backend.encrypt(key, b"canary" + bytes(3))
        with pytest.raises(KeyclaveError) as too_long:
            backend.encrypt(key, b"canary" + bytes(100))
        for excinfo in (raised, too_long):
            inside = [
                frame for frame, _ in traceback.walk_tb(excinfo.tb) if frame.f_code.co_filename.startswith(PACKAGE)
            ]
            assert inside
            assert "canary" not in repr([frame.f_locals for frame in inside])


# What a plugin returns


@pytest.mark.parametrize(
    ("hook", "result", "reason"),
    [
        ("find_key", None, "it returned NoneType where KeyReference is due"),
        ("find_key", {"uri": "x"}, "it returned dict where KeyReference is due"),
        ("public_key", PublicKey(spki="text"), "it returned a PublicKey with a field of the wrong type"),  # type: ignore[arg-type]
        ("public_key", PublicKey(spki=7), "it returned a PublicKey whose $.spki has the wrong type"),  # type: ignore[arg-type]
        ("enable_key", True, "it returned bool where NoneType is due"),
        ("list_keys", KeyPage(keys=("x",)), "it returned a KeyPage whose $.keys[0] has the wrong type"),  # type: ignore[arg-type]
        (
            "destroy_key",
            DestroyResult(state=DestroyState.SCHEDULED, scheduled_for=datetime(2030, 1, 1)),  # noqa: DTZ001  wrong
            "it returned a DestroyResult that cannot be read (TypeError)",
        ),
        ("encrypt", Encrypted(ciphertext="text"), "it returned a Encrypted with a field of the wrong type"),  # type: ignore[arg-type]
        ("encrypt", Decrypted(plaintext=b"x"), "it returned Decrypted where Encrypted is due"),
        ("decrypt", None, "it returned NoneType where Decrypted is due"),
    ],
)
def test_a_wrong_result_takes_the_backend_out_of_use(  # noqa: PLR0917  the table's columns
    installed: Callable[..., None],
    manage: Callable[..., BackendManager],
    created: Created,
    hook: str,
    result: object,
    reason: str,
) -> None:
    installed("acme")
    manager = manage("acme")
    backend = manager.get("acme")
    made, secret = created(backend), created(backend, "AES_256").reference
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    assert sign(b"message").signature
    replace(backend, hook, lambda **_: result)
    calls: dict[str, Callable[[], object]] = {
        "find_key": lambda: backend.find_key(made.reference.label),
        "public_key": lambda: backend.public_key(made.reference),
        "enable_key": lambda: backend.enable_key(made.reference),
        "list_keys": lambda: list(backend.list_keys()),
        "destroy_key": lambda: backend.destroy_key(made.reference),
        "encrypt": lambda: backend.encrypt(secret, b"data"),
        "decrypt": lambda: backend.decrypt(secret, b"data"),
    }
    with pytest.raises(BackendUnavailable, match="out of use") as raised:
        calls[hook]()
    assert f"{hook}: {reason}" in str(raised.value)
    assert raised.value.retryable is False
    with pytest.raises(BackendUnavailable):
        sign(b"message")
    with pytest.raises(BackendUnavailable):
        backend.check_health()
    with pytest.raises(BackendUnavailable):
        manager.get("acme")
    (report,) = [r for r in manager.reports() if r.name == "acme"]
    assert (report.state, report.stage) == ("failed", "call")
    assert report.reason == f"backend 'acme': {hook}: {reason}"


def spki_of(curve: ec.EllipticCurve) -> bytes:
    public_key = ec.generate_private_key(curve).public_key()
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: {"reference": relabelled(m)}, "it answered with the label of another key"),
        (
            lambda m: {"reference": msgspec.structs.replace(m.reference, uri="")},
            "it answered with a key whose address does not have the form of its backend",
        ),
        (
            lambda m: {"reference": msgspec.structs.replace(m.reference, uri="key 7")},
            "it answered with a key whose address does not have the form of its backend",
        ),
        (
            lambda m: {"hsm_backed": True, "evidence": ("it is heavy",)},
            "it made a key that it says is in an HSM, which nothing shows (FR-003)",
        ),
        (
            lambda m: {"reference": msgspec.structs.replace(m.reference, algorithm="ED25519")},
            "it made a key of algorithm 'ED25519'",
        ),
        (lambda m: {"exportable": True}, "it made a key that is exportable"),
        (lambda m: {"public_key": None}, "it made a key pair without a public key"),
        (lambda m: {"public_key": spki_of(ec.SECP384R1())}, "it answered with a bad public key: "),
        (lambda m: {"public_key": m.public_key[:-1]}, "it answered with a bad public key: "),
    ],
    ids=[
        "label",
        "no address",
        "address",
        "level",
        "algorithm",
        "exportable",
        "no public key",
        "other curve",
        "cut off",
    ],
)
def test_a_created_key_that_is_not_the_one_asked_for(
    acme: Open, request_for: Requests, change: Callable[[CreatedKey], dict[str, Any]], problem: str
) -> None:
    backend = acme()
    request = request_for()
    made = backend.create_key(request)
    replace(backend, "create_key", lambda **_: msgspec.structs.replace(made, **change(made)))
    with pytest.raises(IntegrityError) as raised:
        backend.create_key(request)
    assert raised.value.message.startswith(problem)
    assert raised.value.__context__ is None


def relabelled(made: CreatedKey) -> KeyReference:
    label = msgspec.structs.replace(made.reference.label, version=2)
    return msgspec.structs.replace(made.reference, label=label)


def test_an_answer_about_another_key(acme: Open, created: Created) -> None:
    backend = acme()
    made = created(backend)
    other = created(backend)
    replace(backend, "find_key", lambda **_: other.reference)
    with pytest.raises(IntegrityError, match="label of another key"):
        backend.find_key(made.reference.label)
    replace(backend, "public_key", lambda **_: PublicKey(spki=spki_of(ec.SECP384R1())))
    with pytest.raises(IntegrityError, match="bad public key"):
        backend.public_key(made.reference)


def test_keys_of_another_instance_are_not_listed(acme: Open, created: Created) -> None:
    backend = acme()
    reference = created(backend).reference
    stranger = KeyLabel(instance_id=UUID(int=9), key_id=UUID(int=9), version=1, operation_id=UUID(int=9))
    replace(backend, "list_keys", lambda **_: KeyPage(keys=(msgspec.structs.replace(reference, label=stranger),)))
    with pytest.raises(IntegrityError, match="another Keyclave instance"):
        list(backend.list_keys())


def test_pages_that_never_end(acme: Open) -> None:
    backend = acme()
    tokens = iter(["a", "b", "a"])
    replace(backend, "list_keys", lambda **_: KeyPage(keys=(), next_page=next(tokens)))
    with pytest.raises(IntegrityError, match="repeats a page"):
        list(backend.list_keys())


def test_new_pages_that_never_end(acme: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyclave.backends.backend._PAGES", 1000)
    backend = acme()
    tokens = map(str, range(10_000))
    replace(backend, "list_keys", lambda **_: KeyPage(keys=(), next_page=next(tokens)))
    with pytest.raises(IntegrityError, match="it does not end after 1000 pages"):
        list(backend.list_keys())


@pytest.mark.parametrize(
    "result",
    [
        DestroyResult(state=DestroyState.SCHEDULED),
        DestroyResult(state=DestroyState.DESTROYED, scheduled_for=datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_destruction_that_does_not_say_when(acme: Open, created: Created, result: DestroyResult) -> None:
    backend = acme()
    reference = created(backend).reference
    replace(backend, "destroy_key", lambda **_: result)
    with pytest.raises(IntegrityError, match="does not say when"):
        backend.destroy_key(reference)


# Keys that move: the software plugin, since the healthy test plugin does not move keys


def test_a_key_moves_wrapped(manage: Callable[..., BackendManager], request_for: Requests) -> None:
    backend = manage("software").get("software")
    made = backend.create_key(request_for("ED25519", exportable=True))
    request = request_for("ED25519")
    ticket = backend.begin_import(
        ImportKeyRequest(label=request.label, algorithm=request.algorithm, exportable=request.exportable)
    )
    wrapped = backend.wrap_key(made.reference, ticket.wrapping_public_key, ticket.method)
    imported = backend.import_key(ticket, wrapped)
    assert imported.public_key == made.public_key
    assert imported.reference.label == request.label
    with pytest.raises(InvalidArgument, match=r"the ticket asks for \w+, and the key is wrapped by B"):
        backend.import_key(ticket, WrappedKey(method="B", blob=wrapped.blob))
    replace(backend, "wrap_key", lambda **_: WrappedKey(method="B", blob=wrapped.blob))
    with pytest.raises(IntegrityError, match="in another way than asked"):
        backend.wrap_key(made.reference, ticket.wrapping_public_key, ticket.method)
    replace(backend, "begin_import", lambda **_: ticket)
    with pytest.raises(IntegrityError, match="a ticket for another key"):
        backend.begin_import(ImportKeyRequest(label=made.reference.label, algorithm="ED25519", exportable=False))


def test_a_nonce_for_attestation_has_16_to_64_bytes(acme: Open, created: Created) -> None:
    backend = acme()
    for size in (15, 65):
        with pytest.raises(InvalidArgument, match="16 to 64"):
            backend.attest_key(created(backend).reference, bytes(size))
