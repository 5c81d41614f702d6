"""The permissions that each capability needs, as data: README and policy are made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from keyclave_aws.labels import INSTANCE_TAG
from keyclave_aws.settings import AwsSettings

__all__ = ["ALIAS_ACTIONS", "CAPABILITIES", "actions", "policy_document"]

CAPABILITIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "open, check health": ("kms:DescribeKey",),
        "find, list": ("kms:DescribeKey", "kms:ListAliases", "kms:ListKeys", "kms:ListResourceTags"),
        "read public keys": ("kms:GetPublicKey", "kms:DescribeKey"),
        "sign": ("kms:Sign", "kms:GetPublicKey", "kms:DescribeKey"),
        "encrypt, decrypt": ("kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"),
        "create": ("kms:CreateKey", "kms:TagResource", "kms:CreateAlias", "kms:ScheduleKeyDeletion"),
        "enable, disable": ("kms:EnableKey", "kms:DisableKey"),
        "destroy, call off": ("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:CreateAlias"),
        "import": ("kms:GetParametersForImport", "kms:ImportKeyMaterial"),
    }
)
"""What each capability calls. Creating is part of importing, and finding of both and of calling off."""

ALIAS_ACTIONS = frozenset({"kms:CreateAlias"})
_EVERYWHERE = frozenset({"kms:ListAliases", "kms:ListKeys", "kms:DescribeKey", "kms:ListResourceTags"})
_MAKING = frozenset({"kms:CreateKey", "kms:TagResource"})
_MULTI_REGION = "iam:CreateServiceLinkedRole"


def actions() -> tuple[str, ...]:
    """Return every action, once, in alphabetical order."""
    return tuple(sorted({action for needed in CAPABILITIES.values() for action in needed}))


def policy_document(settings: AwsSettings | None) -> str:
    """Return the IAM policy of an identity that may do all of it, as JSON.

    Args:
        settings: of the backend; ``None`` stands for any region and the alias prefix that is the default.
    """
    region = "*" if settings is None else settings.effective_region
    prefix = "keyclave" if settings is None else settings.alias_prefix
    partition = _partition(region)
    keys, aliases = f"arn:{partition}:kms:{region}:*:key/*", f"arn:{partition}:kms:{region}:*:alias/{prefix}/*"
    statements = [
        # Without a condition: an alias that is not there, and a key of others, have no tags of ours.
        _statement("Look", _EVERYWHERE, "*"),
        _statement("Make", _MAKING, "*", {"Null": {f"aws:RequestTag/{INSTANCE_TAG}": "false"}}),
        _statement("Name", ALIAS_ACTIONS, aliases),
        _statement(
            "Use",
            (frozenset(actions()) - _EVERYWHERE - _MAKING) | ALIAS_ACTIONS,
            keys,
            {"Null": {f"aws:ResourceTag/{INSTANCE_TAG}": "false"}},
        ),
        *_extra(settings),
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"


def _statement(
    name: str, allowed: frozenset[str], resource: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {
        "Sid": f"Keyclave{name}",
        "Effect": "Allow",
        "Action": sorted(allowed),
        "Resource": resource,
    }
    return statement if condition is None else {**statement, "Condition": condition}


def _extra(settings: AwsSettings | None) -> list[dict[str, Any]]:
    if settings is None or not settings.multi_region:
        return []
    service = "mrk.kms.amazonaws.com"
    role = f"arn:*:iam::*:role/aws-service-role/{service}/AWSServiceRoleForKeyManagementServiceMultiRegionKeys"
    condition = {"StringLike": {"iam:AWSServiceName": service}}
    return [_statement("MultiRegion", frozenset({_MULTI_REGION}), role, condition)]


def _partition(region: str) -> str:
    """Return the partition of a region (botocore, partitions.json)."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b"}
    prefixes |= {"eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f", "eusc-": "aws-eusc", "*": "*"}
    return next((partition for prefix, partition in prefixes.items() if region.startswith(prefix)), "aws")
