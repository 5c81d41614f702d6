"""What no emulator shows, on the KMS of the tests: pages, states, ML-DSA, permissions, expiry, throttling."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_tests.backends import NewLabel, Open, create, require_signatures, sign_and_verify
from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    DecryptionFailed,
    IntegrityError,
    InvalidArgument,
    KeyDisabled,
    KeyNotFound,
    Throttled,
)
from keyclave.plugin import DestroyState, KeyReference
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import alias_of
from keyclave_aws.permissions import CAPABILITIES, actions

from tests.services.kms.clients import client
from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running
from tests.services.kms.service import Reply


def listed(backend: AwsBackend) -> list[KeyReference]:
    keys: list[KeyReference] = []
    page: str | None = None
    while True:
        found = backend.list_keys(page=page)
        keys += found.keys
        if (page := found.next_page) is None:
            return keys


def test_own_kms_all_pages_together_are_complete(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    made = [create(on_own_kms, new_label(), "AES_256").reference for _ in range(7)]
    own_kms.kms.account.page_limit = 2
    assert listed(on_own_kms) == made
    assert on_own_kms.list_keys(page=None).next_page is not None
    client(own_kms.endpoint).delete_alias(AliasName=alias_of("keyclave", made[-1].label))
    assert on_own_kms.find_key(label=made[-1].label) == made[-1]
    with pytest.raises(InvalidArgument):
        on_own_kms.list_keys(page="aws-kms:nonsense")


@pytest.mark.parametrize("operation", ["ListKeys", "ListAliases", "ListResourceTags"])
def test_own_kms_a_list_without_an_end_ends(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    create(on_own_kms, new_label())
    reply, label = own_kms.kms.reply, new_label()

    def endless(target: str, authorization: str, body: bytes) -> Reply:
        if not target.endswith(f".{operation}"):
            return reply(target, authorization, body)
        first = {name: value for name, value in json.loads(body).items() if name != "Marker"}
        answer = reply(target, authorization, json.dumps(first).encode())
        content = json.loads(answer.body) | {"Truncated": True, "NextMarker": "the same"}
        return Reply(answer.status, answer.headers, json.dumps(content).encode())

    # Keys with an alias of another label are passed over.
    client(own_kms.endpoint).delete_alias(AliasName=next(iter(own_kms.kms.account.keyring.aliases)))
    before = own_kms.kms.count(operation)
    monkeypatch.setattr(own_kms.kms, "reply", endless)
    with pytest.raises(IntegrityError, match="repeats a page"):
        on_own_kms.find_key(label=label)
    assert own_kms.kms.count(operation) == before + 2


def test_own_kms_a_key_between_two_pages_is_not_lost(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    made = [create(on_own_kms, new_label(), "AES_256").reference for _ in range(3)]
    own_kms.kms.account.page_limit = 2
    first = on_own_kms.list_keys(page=None)
    new = create(on_own_kms, new_label(), "AES_256").reference
    second = on_own_kms.list_keys(page=first.next_page)
    assert [*first.keys, *second.keys] == [*made, new]


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 100_000])
def test_own_kms_ml_dsa_signs_messages_of_any_length(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, size: int
) -> None:
    created = create(on_own_kms, new_label(), "ML_DSA_65")
    assert created.public_key is not None
    sign_and_verify(on_own_kms, created.reference, created.public_key, "ML_DSA_65", bytes(size))
    request = next(call.request for call in own_kms.kms.calls if call.operation == "Sign")
    assert request["MessageType"] == ("RAW" if 1 <= size <= 4096 else "EXTERNAL_MU")
    assert len(request["Message"]) == (size if 1 <= size <= 4096 else 64)


def test_own_kms_ml_dsa_needs_the_public_key_only_once(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    key = create(open_backend(own_kms.endpoint), new_label(), "ML_DSA_65").reference
    backend = open_backend(own_kms.endpoint)
    before = own_kms.kms.count("GetPublicKey")
    for _ in range(3):
        backend.sign(key=key, data=bytes(5000), scheme="ML_DSA_65")
    assert own_kms.kms.count("GetPublicKey") == before + 1


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "ML_DSA_65"])
def test_own_kms_the_message_type_is_always_sent(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, algorithm: str
) -> None:
    created = create(on_own_kms, new_label(), algorithm)
    assert created.public_key is not None
    require_signatures(on_own_kms, created.reference, created.public_key)
    signed = [call.request for call in own_kms.kms.calls if call.operation == "Sign"]
    digest = algorithm.startswith(("RSA", "ECDSA"))
    assert {request["MessageType"] for request in signed} == {"DIGEST" if digest else "RAW"}


@pytest.mark.parametrize("wrong", [b"garbage", None], ids=["garbage", "another key"])
def test_own_kms_a_wrong_public_key_is_not_kept(
    open_backend: Open,
    own_kms: Running,
    new_label: NewLabel,
    monkeypatch: pytest.MonkeyPatch,
    wrong: bytes | None,
) -> None:
    created = create(open_backend(own_kms.endpoint), new_label(), "ML_DSA_65")
    assert created.public_key is not None
    other = create(open_backend(own_kms.endpoint), new_label()).public_key
    backend, reply = open_backend(own_kms.endpoint), own_kms.kms.reply

    def answer(target: str, authorization: str, body: bytes) -> Reply:
        right = reply(target, authorization, body)
        if not target.endswith(".GetPublicKey"):
            return right
        content = json.loads(right.body) | {"PublicKey": base64.b64encode(wrong or other or b"").decode()}
        return Reply(right.status, right.headers, json.dumps(content).encode())

    with monkeypatch.context() as patched:
        patched.setattr(own_kms.kms, "reply", answer)
        with pytest.raises(IntegrityError, match="another public key"):
            backend.sign(key=created.reference, data=bytes(5000), scheme="ML_DSA_65")
    sign_and_verify(backend, created.reference, created.public_key, "ML_DSA_65", bytes(5000))


def test_own_kms_what_is_too_long_or_too_short_is_not_sent(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    p256 = create(on_own_kms, new_label(), "ECDSA_P256").reference
    ed25519 = create(on_own_kms, new_label(), "ED25519").reference
    aes = create(on_own_kms, new_label(), "AES_256").reference
    before = len(own_kms.kms.calls)
    for data in (b"", bytes(31), bytes(33), bytes(48)):
        with pytest.raises(InvalidArgument):
            on_own_kms.sign(key=p256, data=data, scheme="ECDSA_SHA256")
    for data in (b"", bytes(4097)):
        with pytest.raises(InvalidArgument):
            on_own_kms.sign(key=ed25519, data=data, scheme="ED25519")
    for plaintext in (b"", bytes(4097)):
        with pytest.raises(InvalidArgument):
            on_own_kms.encrypt(key=aes, plaintext=plaintext, aad=b"")
    assert len(own_kms.kms.calls) == before
    on_own_kms.sign(key=ed25519, data=bytes(4096), scheme="ED25519")
    on_own_kms.encrypt(key=aes, plaintext=bytes(4096), aad=b"")


def test_own_kms_the_public_key_of_a_disabled_key_is_the_one_seen_before(
    open_backend: Open, own_kms: Running, new_label: NewLabel
) -> None:
    backend = open_backend(own_kms.endpoint)
    created = create(backend, new_label())
    backend.disable_key(key=created.reference)
    assert backend.public_key(key=created.reference).spki == created.public_key
    with pytest.raises(KeyDisabled):
        open_backend(own_kms.endpoint).public_key(key=created.reference)


def test_own_kms_a_scheduled_key_is_not_there_for_any_use(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    created = create(on_own_kms, new_label())
    first = on_own_kms.destroy_key(key=created.reference)
    calls: tuple[Callable[[], object], ...] = (
        lambda: on_own_kms.enable_key(key=created.reference),
        lambda: on_own_kms.disable_key(key=created.reference),
        lambda: on_own_kms.sign(key=created.reference, data=bytes(32), scheme="ECDSA_SHA256"),
        lambda: on_own_kms.public_key(key=created.reference),
    )
    for call in calls:
        with pytest.raises(KeyNotFound):
            call()
    assert on_own_kms.destroy_key(key=created.reference).scheduled_for == first.scheduled_for
    own_kms.kms.account.clock = lambda: datetime.now(UTC) + timedelta(days=31)
    assert on_own_kms.destroy_key(key=created.reference).state is DestroyState.DESTROYED
    with pytest.raises(KeyNotFound):
        on_own_kms.cancel_destruction(key=created.reference)


def test_own_kms_a_destruction_that_another_one_overtook_has_its_date(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = create(on_own_kms, new_label())
    destruction = on_own_kms._destruction
    dates = iter([None])
    look = destruction._date
    monkeypatch.setattr(destruction, "_date", lambda arn: next(dates, look(arn)))
    first = client(own_kms.endpoint).schedule_key_deletion(KeyId=created.reference.uri, PendingWindowInDays=7)
    assert on_own_kms.destroy_key(key=created.reference).scheduled_for == first["DeletionDate"]


def test_own_kms_associated_data_is_not_sent_in_clear(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label(), "AES_256").reference
    for aad in (b"", b"patient 7"):
        ciphertext = on_own_kms.encrypt(key=key, plaintext=b"data key", aad=aad).ciphertext
        assert on_own_kms.decrypt(key=key, ciphertext=ciphertext, aad=aad).plaintext == b"data key"
    contexts = [call.request["EncryptionContext"] for call in own_kms.kms.calls if call.operation == "Encrypt"]
    assert [list(context) for context in contexts] == [["keyclave-aad-sha256"]] * 2
    assert "patient" not in json.dumps(contexts)


def test_own_kms_the_state_of_a_key_comes_before_a_wrong_ciphertext(
    on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label(), "AES_256").reference
    with pytest.raises(DecryptionFailed):
        on_own_kms.decrypt(key=key, ciphertext=b"no ciphertext", aad=b"")
    on_own_kms.disable_key(key=key)
    with pytest.raises(KeyDisabled):
        on_own_kms.decrypt(key=key, ciphertext=b"no ciphertext", aad=b"")
    on_own_kms.destroy_key(key=key)
    with pytest.raises(KeyNotFound):
        on_own_kms.decrypt(key=key, ciphertext=b"no ciphertext", aad=b"")


def test_own_kms_throttling_says_how_long_to_wait(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label()).reference
    for status, code in ((400, "ThrottlingException"), (429, "TooManyRequests")):
        for seconds in (None, 7):
            own_kms.kms.fail("Sign", KmsFailure(code, status=status, retry_after=seconds))
            with pytest.raises(Throttled) as refused:
                on_own_kms.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
            assert refused.value.retry_after == seconds
            assert refused.value.retryable
            assert refused.value.provider_reference == own_kms.kms.calls[-1].request_id
    assert own_kms.kms.count("Sign") == 4  # the SDK repeats nothing


def test_own_kms_expired_credentials_are_read_again_once(
    open_backend: Open, own_kms: Running, new_label: NewLabel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOLD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    backend = open_backend(own_kms.endpoint, credentials="environment")
    key = create(backend, new_label()).reference
    own_kms.kms.expired.add("AKIDOLD")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEW")
    backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    assert [call.access_key for call in own_kms.kms.calls[-2:]] == ["AKIDOLD", "AKIDNEW"]
    own_kms.kms.expired.add("AKIDNEW")
    before = len(own_kms.kms.calls)
    with pytest.raises(AuthenticationFailed, match=r"expired.*; the credentials come from environment variables"):
        backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    assert len(own_kms.kms.calls) == before + 2


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        *(("DescribeKey", "kms:DescribeKey"), ("ListKeys", "kms:ListKeys"), ("Sign", "kms:Sign")),
        *(("GetPublicKey", "kms:GetPublicKey"), ("Encrypt", "kms:Encrypt"), ("Decrypt", "kms:Decrypt")),
    ],
)
def test_own_kms_a_missing_permission_is_named_and_nothing_is_changed(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, operation: str, action: str
) -> None:
    create(on_own_kms, new_label(), "ECDSA_P256")
    create(on_own_kms, new_label(), "AES_256")
    report = on_own_kms.check_permissions()
    assert report.missing == ()
    assert set(report.unchecked) == set(actions()) - {
        *("kms:DescribeKey", "kms:ListAliases", "kms:ListKeys", "kms:ListResourceTags", "kms:GetPublicKey"),
        *("kms:Sign", "kms:Encrypt"),
    }
    own_kms.kms.denied.add(operation)
    keys = dict(own_kms.kms.account.keyring.keys)
    assert on_own_kms.check_permissions().missing == (action,)
    assert own_kms.kms.account.keyring.keys == keys
    assert {call.operation for call in own_kms.kms.calls[-10:]}.isdisjoint({"CreateKey", "CreateAlias"})


def test_own_kms_a_denied_call_names_the_permission(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label()).reference
    own_kms.kms.denied.add("Sign")
    with pytest.raises(AccessDenied, match="may not call kms:Sign") as refused:
        on_own_kms.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    assert "user/AKIDTEST" not in str(refused.value)


def test_own_kms_who_may_not_even_look_is_told_at_opening(open_backend: Open, own_kms: Running) -> None:
    own_kms.kms.denied.add("DescribeKey")
    with pytest.raises(AccessDenied, match="kms:DescribeKey"):
        open_backend(own_kms.endpoint)


def test_own_kms_keys_whose_tags_may_not_be_seen_are_not_ours(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    label = create(on_own_kms, new_label()).reference.label
    own_kms.kms.denied.add("ListResourceTags")
    assert on_own_kms.list_keys(page=None).keys == ()
    with pytest.raises((AccessDenied, KeyNotFound)):
        on_own_kms.find_key(label=label)


def test_own_kms_every_call_is_one_that_the_policy_allows(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    for algorithm in ("ECDSA_P256", "AES_256"):
        key = create(on_own_kms, new_label(), algorithm).reference
        on_own_kms.disable_key(key=key)
        on_own_kms.enable_key(key=key)
        on_own_kms.destroy_key(key=key)
        on_own_kms.cancel_destruction(key=key)
    on_own_kms.list_keys(page=None)
    called = {f"kms:{call.operation}" for call in own_kms.kms.calls}
    assert called < set(actions())
    assert {"kms:TagResource"} <= set(CAPABILITIES["create"])  # a CreateKey with tags needs it as well
