"""Keys are made, found, listed, disabled and destroyed on an emulator; aliases are never trusted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aws_tests.backends import NewLabel, Open, create, require_signatures
from keyclave.errors import (
    CapabilityUnsupported,
    ConfigurationError,
    IntegrityError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyDisabled,
    KeyNotFound,
)
from keyclave.models import get_algorithm
from keyclave.plugin import CreateKeyRequest, DestroyState, KeyReference
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import alias_of, tags_of
from msgspec.structs import replace

from tests.services.kms.clients import client

pytestmark = pytest.mark.needs("ministack")
ALGORITHMS = ["RSA_2048", "RSA_3072", "RSA_4096", "ECDSA_P256", "ECDSA_P384", "ED25519", "AES_256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_made_found_listed_and_used(on_ministack: AwsBackend, new_label: NewLabel, algorithm: str) -> None:
    created = create(on_ministack, new_label(), algorithm)
    assert created.provider_reference
    assert on_ministack.find_key(label=created.reference.label) == created.reference
    assert on_ministack.list_keys(page=None).keys == (created.reference,)
    if get_algorithm(algorithm).signs:
        assert created.public_key is not None
        assert on_ministack.public_key(key=created.reference).spki == created.public_key
        require_signatures(on_ministack, created.reference, created.public_key)
    else:
        ciphertext = on_ministack.encrypt(key=created.reference, plaintext=b"data key", aad=b"").ciphertext
        assert on_ministack.decrypt(key=created.reference, ciphertext=ciphertext, aad=b"").plaintext == b"data key"


def test_the_same_label_is_the_same_key(open_backend: Open, ministack: str, new_label: NewLabel) -> None:
    label = new_label()
    made = create(open_backend(ministack), label)
    again = create(open_backend(ministack), label)
    assert again.reference == made.reference
    assert again.public_key == made.public_key
    with pytest.raises(KeyAlreadyExists):
        create(open_backend(ministack), label, "RSA_2048")


def test_threads_with_the_same_label_get_the_same_key(on_ministack: AwsBackend, new_label: NewLabel) -> None:
    label = new_label()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create(on_ministack, label).reference, range(8)))
    assert len(set(made)) == 1
    assert on_ministack.list_keys(page=None).keys == (made[0],)


def test_a_key_of_another_region_is_not_taken_for_gone(
    open_backend: Open, ministack: str, new_label: NewLabel
) -> None:
    here = open_backend(ministack)
    signing, encrypting = create(here, new_label()).reference, create(here, new_label(), "AES_256").reference
    elsewhere = open_backend(ministack, region="eu-west-1")
    for call in (
        lambda: elsewhere.destroy_key(key=signing),
        lambda: elsewhere.cancel_destruction(key=signing),
        lambda: elsewhere.disable_key(key=signing),
        lambda: elsewhere.enable_key(key=signing),
        lambda: elsewhere.public_key(key=signing),
        lambda: elsewhere.sign(key=signing, data=bytes(32), scheme="ECDSA_SHA256"),
        lambda: elsewhere.encrypt(key=encrypting, plaintext=b"data key", aad=b""),
        lambda: elsewhere.decrypt(key=encrypting, ciphertext=b"ciphertext", aad=b""),
    ):
        with pytest.raises(ConfigurationError, match="in the region us-east-1, and this backend looks in eu-west-1"):
            call()
    here.sign(key=signing, data=bytes(32), scheme="ECDSA_SHA256")


def test_what_is_not_there_is_not_found(on_ministack: AwsBackend, new_label: NewLabel) -> None:
    with pytest.raises(KeyNotFound):
        on_ministack.find_key(label=new_label())
    reference = KeyReference(
        label=new_label(), uri=f"arn:aws:kms:us-east-1:000000000000:key/{uuid4()}", algorithm="ECDSA_P256"
    )
    for call in (on_ministack.public_key, on_ministack.enable_key, on_ministack.disable_key):
        with pytest.raises(KeyNotFound):
            call(key=reference)
    with pytest.raises(KeyNotFound):
        on_ministack.cancel_destruction(key=reference)
    assert on_ministack.destroy_key(key=reference).state is DestroyState.DESTROYED


def test_keys_of_another_instance_are_not_listed(open_backend: Open, ministack: str, new_label: NewLabel) -> None:
    ours, theirs = open_backend(ministack), open_backend(ministack, context={"instance_id": uuid4()})
    key = create(ours, new_label()).reference
    assert ours.list_keys(page=None).keys == (key,)
    assert theirs.list_keys(page=None).keys == ()


def test_a_page_of_elsewhere_is_refused(on_ministack: AwsBackend) -> None:
    for page in ("", "1", "aws-kms:", "aws-kms:\udc80", "aws-kms:" + "x" * 2000):
        with pytest.raises(InvalidArgument):
            on_ministack.list_keys(page=page)


@pytest.mark.parametrize("exportable", [True])
def test_no_key_is_exportable(on_ministack: AwsBackend, new_label: NewLabel, exportable: bool) -> None:  # noqa: FBT001
    request = CreateKeyRequest(label=new_label(), algorithm="AES_256", exportable=exportable)
    with pytest.raises(CapabilityUnsupported):
        on_ministack.create_key(request=request)
    assert not hasattr(on_ministack, "wrap_key")


def test_an_algorithm_that_the_endpoint_lacks_is_refused_and_leaves_nothing(
    on_ministack: AwsBackend, new_label: NewLabel
) -> None:
    label = new_label()
    with pytest.raises(CapabilityUnsupported):
        create(on_ministack, label, "ML_DSA_65")
    assert not on_ministack._creation._notes.has(label)
    with pytest.raises(CapabilityUnsupported):
        create(on_ministack, label, "HMAC_SHA256")


def test_a_disabled_key_is_of_no_use_until_it_is_enabled(on_ministack: AwsBackend, new_label: NewLabel) -> None:
    created = create(on_ministack, new_label())
    for _ in range(2):
        on_ministack.disable_key(key=created.reference)
    with pytest.raises(KeyDisabled) as refused:
        on_ministack.sign(key=created.reference, data=bytes(32), scheme="ECDSA_SHA256")
    assert refused.value.provider_reference
    assert on_ministack.public_key(key=created.reference).spki == created.public_key
    for _ in range(2):
        on_ministack.enable_key(key=created.reference)
    assert created.public_key is not None
    require_signatures(on_ministack, created.reference, created.public_key)


def test_a_destruction_is_scheduled_and_can_be_called_off(
    open_backend: Open, ministack: str, new_label: NewLabel
) -> None:
    backend = open_backend(ministack, deletion_days=9)
    created = create(backend, new_label())
    first = backend.destroy_key(key=created.reference)
    assert first.state is DestroyState.SCHEDULED
    assert first.provider_reference
    assert first.scheduled_for is not None
    assert abs(first.scheduled_for - datetime.now(UTC) - timedelta(days=9)) < timedelta(minutes=5)
    again = open_backend(ministack, deletion_days=7).destroy_key(key=created.reference)
    assert (again.state, again.scheduled_for) == (first.state, first.scheduled_for)
    for gone in (
        lambda: backend.find_key(label=created.reference.label),
        lambda: backend.public_key(key=created.reference),
        lambda: backend.sign(key=created.reference, data=bytes(32), scheme="ECDSA_SHA256"),
    ):
        with pytest.raises(KeyNotFound):
            gone()
    assert backend.list_keys(page=None).keys == ()
    for _ in range(2):
        backend.cancel_destruction(key=created.reference)
        assert backend.find_key(label=created.reference.label) == created.reference
        with pytest.raises(KeyDisabled):
            backend.sign(key=created.reference, data=bytes(32), scheme="ECDSA_SHA256")
    backend.enable_key(key=created.reference)
    assert created.public_key is not None
    require_signatures(backend, created.reference, created.public_key)


def test_an_alias_that_leads_elsewhere_is_not_followed(
    on_ministack: AwsBackend, ministack: str, new_label: NewLabel
) -> None:
    ours, theirs = create(on_ministack, new_label()).reference, create(on_ministack, new_label()).reference
    client(ministack).update_alias(AliasName=alias_of("keyclave", ours.label), TargetKeyId=theirs.uri)
    assert on_ministack.find_key(label=ours.label) == ours
    assert create(on_ministack, theirs.label).reference == theirs


def test_an_alias_is_no_address_of_a_key(on_ministack: AwsBackend, new_label: NewLabel) -> None:
    key = create(on_ministack, new_label()).reference
    for uri in (alias_of("keyclave", key.label), key.uri.rpartition("/")[2], ""):
        with pytest.raises(KeyNotFound):
            on_ministack.sign(key=replace(key, uri=uri), data=bytes(32), scheme="ECDSA_SHA256")


def test_a_key_without_its_tags_is_neither_found_nor_destroyed(
    on_ministack: AwsBackend, ministack: str, new_label: NewLabel
) -> None:
    key = create(on_ministack, new_label()).reference
    sdk: Any = client(ministack)
    sdk.untag_resource(KeyId=key.uri, TagKeys=["keyclave:version"])
    with pytest.raises(KeyNotFound):
        on_ministack.find_key(label=key.label)
    with pytest.raises(IntegrityError):
        on_ministack.destroy_key(key=key)
    assert sdk.describe_key(KeyId=key.uri)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_whose_alias_is_gone_is_found_by_its_tags(
    on_ministack: AwsBackend, ministack: str, new_label: NewLabel
) -> None:
    key = create(on_ministack, new_label()).reference
    client(ministack).delete_alias(AliasName=alias_of("keyclave", key.label))
    assert on_ministack.find_key(label=key.label) == key


def test_a_key_is_made_as_the_settings_say(
    open_backend: Open, ministack: str, new_label: NewLabel, tmp_path: Any
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"Version": "2012-10-17", "Statement": []}')
    backend = open_backend(ministack, multi_region=True, key_policy_file=policy, alias_prefix="other")
    key = create(backend, new_label()).reference
    sdk: Any = client(ministack)
    found = sdk.describe_key(KeyId=alias_of("other", key.label))["KeyMetadata"]
    assert found["Arn"] == key.uri
    assert found["MultiRegion"]
    assert sdk.get_key_policy(KeyId=key.uri, PolicyName="default")["Policy"] == policy.read_text()
    assert sdk.list_resource_tags(KeyId=key.uri)["Tags"] == tags_of(key.label)


def test_an_imported_or_emulated_key_claims_no_hsm(on_ministack: AwsBackend, new_label: NewLabel) -> None:
    created = create(on_ministack, new_label())
    assert not created.hsm_backed
    assert "The endpoint is not one of AWS, so nothing shows how it keeps keys." in created.evidence
