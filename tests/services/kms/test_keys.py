"""The KMS for tests, seen by boto3: the life of keys, aliases, and lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.services.kms.clients import client
from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running, running

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient


@pytest.fixture
def service() -> Iterator[Running]:
    with running() as service:
        yield service


@pytest.fixture
def kms(service: Running) -> Iterator[KMSClient]:
    with closing(client(service.endpoint)) as opened:
        yield opened


def make(kms: KMSClient) -> str:
    return kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def sign(kms: KMSClient, key: str, message: bytes = b"message") -> bytes:
    return kms.sign(KeyId=key, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")["Signature"]


def test_a_key_is_described_by_id_arn_and_alias(kms: KMSClient) -> None:
    made = kms.create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Tags=[{"TagKey": "one", "TagValue": "1"}], Description="d"
    )["KeyMetadata"]
    kms.create_alias(AliasName="alias/a/b", TargetKeyId=made["KeyId"])
    for name in (made["KeyId"], made["Arn"], "alias/a/b"):
        assert kms.describe_key(KeyId=name)["KeyMetadata"] == made
    assert made["KeyState"] == "Enabled"
    assert made["SigningAlgorithms"] == ["ECDSA_SHA_256"]
    assert abs(made["CreationDate"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert kms.list_resource_tags(KeyId=made["KeyId"])["Tags"] == [{"TagKey": "one", "TagValue": "1"}]


def test_lists_come_in_pages_that_a_marker_leads_through(service: Running, kms: KMSClient) -> None:
    arns = [make(kms) for _ in range(7)]
    first = kms.list_keys(Limit=3)
    assert first["Truncated"]
    assert [key["KeyArn"] for key in first["Keys"]] == arns[:3]
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Keys"]) for page in pages] == [3, 3, 1]
    assert [key["KeyArn"] for page in pages for key in page["Keys"]] == arns
    service.kms.account.page_limit = 2
    assert [len(page["Keys"]) for page in kms.get_paginator("list_keys").paginate()] == [2, 2, 2, 1]
    with pytest.raises(kms.exceptions.InvalidMarkerException):
        kms.list_keys(Marker="nonsense")


def test_a_key_between_two_pages_is_neither_lost_nor_listed_twice(kms: KMSClient) -> None:
    arns = [make(kms) for _ in range(3)]
    first = kms.list_keys(Limit=2)
    new = make(kms)
    rest = kms.list_keys(Marker=first["NextMarker"])
    assert [key["KeyArn"] for key in first["Keys"] + rest["Keys"]] == [*arns, new]


def test_aliases_are_taken_once_and_listed_by_key(kms: KMSClient) -> None:
    one, other = make(kms), make(kms)
    kms.create_alias(AliasName="alias/x", TargetKeyId=one)
    with pytest.raises(kms.exceptions.AlreadyExistsException):
        kms.create_alias(AliasName="alias/x", TargetKeyId=other)
    with pytest.raises(kms.exceptions.InvalidAliasNameException):
        kms.create_alias(AliasName="alias/aws/x", TargetKeyId=one)
    assert [alias["AliasName"] for alias in kms.list_aliases(KeyId=one)["Aliases"]] == ["alias/x"]
    assert kms.list_aliases(KeyId=other)["Aliases"] == []
    kms.update_alias(AliasName="alias/x", TargetKeyId=other)
    assert kms.describe_key(KeyId="alias/x")["KeyMetadata"]["Arn"] == other
    kms.delete_alias(AliasName="alias/x")
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId="alias/x")


def test_a_disabled_key_does_nothing_until_it_is_enabled(kms: KMSClient) -> None:
    key = make(kms)
    kms.disable_key(KeyId=key)
    kms.disable_key(KeyId=key)
    with pytest.raises(kms.exceptions.DisabledException):
        sign(kms, key)
    with pytest.raises(kms.exceptions.DisabledException):
        kms.get_public_key(KeyId=key)
    kms.enable_key(KeyId=key)
    assert sign(kms, key)


def test_a_deletion_waits_and_can_be_called_off(service: Running, kms: KMSClient) -> None:
    key = make(kms)
    kms.create_alias(AliasName="alias/x", TargetKeyId=key)
    with pytest.raises(ClientError, match="between 7 and 30"):
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=6)
    answer = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert answer["KeyId"] == key
    assert kms.describe_key(KeyId="alias/x")["KeyMetadata"]["DeletionDate"] == answer["DeletionDate"]
    for refused in (
        lambda: sign(kms, key),
        lambda: kms.get_public_key(KeyId=key),
        lambda: kms.enable_key(KeyId=key),
        lambda: kms.disable_key(KeyId=key),
        lambda: kms.schedule_key_deletion(KeyId=key),
        lambda: kms.create_alias(AliasName="alias/y", TargetKeyId=key),
    ):
        with pytest.raises(kms.exceptions.KMSInvalidStateException, match="pending deletion"):
            refused()
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    with pytest.raises(kms.exceptions.KMSInvalidStateException, match="not pending"):
        kms.cancel_key_deletion(KeyId=key)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    service.kms.account.clock = lambda: datetime.now(UTC) + timedelta(days=8)
    for name in (key, "alias/x"):
        with pytest.raises(kms.exceptions.NotFoundException):
            kms.describe_key(KeyId=name)


def test_what_the_service_model_forbids_is_refused(kms: KMSClient) -> None:
    for arguments in ({"KeySpec": "ROT_13"}, {"KeyUsage": "SIGN_VERIFY"}, {"KeySpec": "RSA_2048"}):
        with pytest.raises(ClientError) as error:
            kms.create_key(**arguments)  # type: ignore[arg-type]
        assert code(error) == "ValidationException"
    with pytest.raises(ClientError) as error:
        sign(kms, make(kms), bytes(4097))
    assert code(error) == "ValidationException"
    with pytest.raises(kms.exceptions.TagException):
        kms.create_key(Tags=[{"TagKey": "twice", "TagValue": ""}] * 2)


def test_a_permission_that_is_taken_away_is_named(service: Running, kms: KMSClient) -> None:
    key = make(kms)
    service.kms.denied = {"Sign"}
    with pytest.raises(ClientError, match="not authorized to perform: kms:Sign") as error:
        sign(kms, key)
    assert code(error) == "AccessDeniedException"
    assert kms.describe_key(KeyId=key)
    service.kms.denied.clear()
    assert sign(kms, key)


def test_an_expired_session_is_told(service: Running) -> None:
    service.kms.expired = {"OLD"}
    with closing(client(service.endpoint, "OLD")) as old, pytest.raises(ClientError) as error:
        old.list_keys()
    assert code(error) == "ExpiredTokenException"


def test_failures_come_as_often_as_they_were_asked_for_and_change_nothing(service: Running, kms: KMSClient) -> None:
    service.kms.fail("CreateKey", KmsFailure("ThrottlingException", "Rate exceeded", retry_after=2), times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            make(kms)
        assert code(error) == "ThrottlingException"
        assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"
    assert kms.list_keys()["Keys"] == []
    assert make(kms)
    assert service.kms.count("CreateKey") == 3


def test_every_answer_has_a_request_id_that_is_recorded(service: Running, kms: KMSClient) -> None:
    found = [kms.list_keys()["ResponseMetadata"]["RequestId"]]
    with pytest.raises(kms.exceptions.NotFoundException) as error:
        kms.describe_key(KeyId="alias/none")
    found.append(error.value.response["ResponseMetadata"]["RequestId"])
    assert [call.request_id for call in service.kms.calls] == found
    assert [call.code for call in service.kms.calls] == [None, "NotFoundException"]


def test_what_is_not_built_is_refused(kms: KMSClient) -> None:
    with pytest.raises(ClientError) as error:
        kms.generate_random(NumberOfBytes=1)
    assert code(error) == "UnknownOperationException"
