"""Ask AWS KMS for a new key, as the settings say, with the label in its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyclave.errors import CapabilityUnsupported
from keyclave.models import get_algorithm
from keyclave.plugin import KeyLabel

from keyclave_aws.algorithms import SPECS, usage_of
from keyclave_aws.connection import Kms
from keyclave_aws.errors import reference_of
from keyclave_aws.labels import tags_of
from keyclave_aws.lookup import FoundKey, to_found
from keyclave_aws.settings import AwsSettings

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.type_defs import CreateKeyRequestTypeDef

__all__ = ["Made", "Maker"]

Made = tuple[FoundKey, str | None]
"""A key, and the id of the request that made it."""


class Maker:
    """Makes keys.

    Args:
        kms: calls AWS KMS.
        settings: how keys are made.
        key_policy: the policy for new keys; ``None`` is AWS's default.
    """

    def __init__(self, kms: Kms, settings: AwsSettings, key_policy: str | None) -> None:
        self._kms = kms
        self._multi_region = settings.multi_region
        self._store = settings.custom_key_store_id
        self._policy = key_policy

    def make(self, label: KeyLabel, algorithm: str) -> Made:
        """Return a new key that AWS made.

        Raises:
            CapabilityUnsupported: there are no keys of this algorithm there.
            OutcomeUnknown: no answer came.
        """
        request = self._request(label, algorithm)
        if self._store is not None:
            request |= {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": self._store}
        return self._make(request, algorithm)

    def make_empty(self, label: KeyLabel, algorithm: str) -> Made:
        """Return a new key whose material is still to be imported."""
        if self._store is not None:
            raise CapabilityUnsupported("a custom key store takes no keys from elsewhere")
        return self._make(self._request(label, algorithm) | {"Origin": "EXTERNAL"}, algorithm)

    def _request(self, label: KeyLabel, algorithm: str) -> CreateKeyRequestTypeDef:
        if algorithm not in SPECS:
            raise CapabilityUnsupported(f"AWS KMS has no keys of algorithm {algorithm}")
        request: CreateKeyRequestTypeDef = {
            "KeySpec": SPECS[algorithm],
            "KeyUsage": usage_of(get_algorithm(algorithm)),
            "MultiRegion": self._multi_region,
            "Description": f"Made by Keyclave in operation {label.operation_id.hex}.",
            "Tags": tags_of(label),
        }
        return request if self._policy is None else request | {"Policy": self._policy}

    def _make(self, request: CreateKeyRequestTypeDef, algorithm: str) -> Made:
        def create(kms: KMSClient) -> Made:
            answer = kms.create_key(**request)
            found = to_found(answer["KeyMetadata"])
            # The description comes back, and is no other key's: the answer to another request is not taken for ours.
            mine = answer["KeyMetadata"]["Description"] == request["Description"]
            if found is None or found.algorithm != algorithm or not mine:
                raise ValueError(algorithm)
            return found, reference_of(answer)

        return self._kms.change(create)
