"""boto3 against a service on loopback: credentials that are none, and no retry that a test did not ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["client"]


def client(endpoint: str, access_key: str = "AKIDTEST", *, read_timeout: float = 5) -> KMSClient:
    """Return a client; close it."""
    return boto3.session.Session().client(
        "kms",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key="none",
        config=Config(connect_timeout=3, read_timeout=read_timeout, retries={"total_max_attempts": 1}),
    )
