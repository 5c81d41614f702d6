"""An endpoint is one of AWS by its name, and only where nobody else can have such a name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from keyclave.models import SecurityLevel
from keyclave_aws.endpoints import is_aws, region_of
from keyclave_aws.evidence import key_evidence, service_evidence
from keyclave_aws.lookup import FoundKey

ARN = "arn:aws:kms:us-east-1:000000000000:key/1"


def client_of(session: botocore.session.Session, region: str, **options: Any) -> Any:
    return session.create_client(
        "kms", region, aws_access_key_id="a", aws_secret_access_key="b", config=Config(**options)
    )


def endpoints() -> list[tuple[str, str]]:
    """Return every region that the SDK knows, with its endpoint."""
    session = botocore.session.Session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("kms", partition)
    ]
    return [(region, client_of(session, region).meta.endpoint_url) for region in regions]


def test_every_endpoint_of_every_region_is_one_of_aws() -> None:
    found = endpoints()
    assert len(found) > 30
    for region, url in found:
        assert is_aws(url), url
        assert region_of(url) == region


@pytest.mark.parametrize("options", [{"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}], ids=str)
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_fips_and_dual_stack_endpoints_are_ones_of_aws(region: str, options: dict[str, Any]) -> None:
    client = client_of(botocore.session.Session(), region, **options)
    assert is_aws(client.meta.endpoint_url), client.meta.endpoint_url


@pytest.mark.parametrize(
    "url",
    [
        "http://kms.us-east-1.amazonaws.com",
        "https://abc.execute-api.us-east-1.amazonaws.com",
        "https://kms.us-east-1.elb.amazonaws.com",
        "https://ec2-192-0-2-1.compute-1.amazonaws.com",
        "https://kms.s3.amazonaws.com",
        "https://kms.us-east-1.amazonaws.com.example.com",
        "https://kms.us-east-1.amazonaws.com@example.com",
        "https://example.com/kms.us-east-1.amazonaws.com",
        "https://xkms.us-east-1.amazonaws.com",
        "https://127.0.0.1:4566",
    ],
)
def test_other_endpoints_prove_nothing(url: str) -> None:
    assert not is_aws(url)
    evidence = service_evidence(url)
    assert evidence.simulator
    assert evidence.level is SecurityLevel.SOFTWARE


@pytest.mark.parametrize(
    ("origin", "in_hsm", "words"),
    [
        ("AWS_KMS", True, "made the key in its hardware"),
        ("AWS_CLOUDHSM", True, "CloudHSM"),
        ("EXTERNAL", False, "a copy may exist"),
        ("EXTERNAL_KEY_STORE", False, "outside AWS"),
        ("SOMETHING_NEW", False, "does not say"),
    ],
)
def test_at_aws_the_origin_of_a_key_says_whether_it_is_in_an_hsm(origin: str, in_hsm: bool, words: str) -> None:  # noqa: FBT001

    found = FoundKey(
        arn=ARN,
        algorithm="AES_256",
        state="Enabled",
        origin=origin,
        store=None,
        created=datetime.now(UTC),
        deletion=None,
    )
    service = service_evidence("https://kms.us-east-1.amazonaws.com")
    assert service.level is SecurityLevel.HSM
    shown, sentences = key_evidence(service, found)
    assert shown is in_hsm
    assert words in sentences[-1]
    assert not key_evidence(service_evidence("https://localhost"), found)[0]
