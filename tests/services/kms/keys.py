"""One KMS key, and what DescribeKey says of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.services.kms.failures import KmsFailure
from tests.services.kms.specs import SPECS, Spec

__all__ = ["ACCOUNT", "PREFIX", "Import", "Key"]

ACCOUNT = "111122223333"
PREFIX = f"arn:aws:kms:us-east-1:{ACCOUNT}:"

_ALGORITHMS_OF = {
    "SIGN_VERIFY": "SigningAlgorithms",
    "ENCRYPT_DECRYPT": "EncryptionAlgorithms",
    "GENERATE_VERIFY_MAC": "MacAlgorithms",
}


@dataclass(frozen=True)
class Import:
    """What GetParametersForImport handed out: the private wrapping key, its algorithm, the token, and its end."""

    wrapping_key: Any
    algorithm: str
    token: bytes
    valid_to: datetime


@dataclass
class Key:
    """One key.

    Attributes:
        serial: counts keys; lists are in its order.
        material: what ``specs`` generates; None before an import.
        state: "Enabled", "Disabled", "PendingImport" or "PendingDeletion".
    """

    serial: int
    spec_name: str
    usage: str
    origin: str
    created: datetime
    description: str = ""
    multi_region: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    policy: str | None = None
    material: Any = None
    state: str = "Enabled"
    deletion: datetime | None = None
    window_days: int | None = None
    tickets: list[Import] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        if self.multi_region:
            self.id = f"mrk-{self.id.replace('-', '')}"

    @property
    def arn(self) -> str:
        """The name by which answers call it."""
        return f"{PREFIX}key/{self.id}"

    @property
    def spec(self) -> Spec:
        """What it is made of."""
        return SPECS[self.spec_name]

    @property
    def algorithms(self) -> dict[str, list[str]]:
        """The list of its algorithms, by the name that the list has in answers."""
        return {_ALGORITHMS_OF[self.usage]: list(self.spec.algorithms[self.usage])}

    def check_usable(self) -> None:
        """Raise KmsFailure unless it is enabled, as the table of key states in the developer guide has it."""
        self.check_not_pending_deletion()
        self.check_has_material()
        if self.state == "Disabled":
            raise KmsFailure("DisabledException", f"{self.arn} is disabled.")

    def check_not_pending_deletion(self) -> None:
        """Raise KmsFailure if it is about to be deleted."""
        if self.state == "PendingDeletion":
            raise KmsFailure("KMSInvalidStateException", f"{self.arn} is pending deletion.")

    def check_has_material(self) -> None:
        """Raise KmsFailure if its material is still to be imported."""
        if self.state == "PendingImport":
            raise KmsFailure("KMSInvalidStateException", f"{self.arn} is pending import.")

    def check_algorithm(self, usage: str, algorithm: str) -> None:
        """Raise KmsFailure unless it can be used so."""
        if self.usage != usage or algorithm not in self.spec.algorithms[usage]:
            raise KmsFailure(
                "InvalidKeyUsageException", f"{self.arn} is for {self.usage} with {self.spec_name}, not {algorithm}."
            )

    def metadata(self) -> dict[str, Any]:
        """Return what CreateKey and DescribeKey say."""
        imported = self.origin == "EXTERNAL" and self.material is not None
        return {
            "AWSAccountId": ACCOUNT,
            "KeyId": self.id,
            "Arn": self.arn,
            "CreationDate": self.created,
            "Enabled": self.state == "Enabled",
            "Description": self.description,
            "KeyUsage": self.usage,
            "KeyState": self.state,
            "DeletionDate": self.deletion,
            "Origin": self.origin,
            "KeyManager": "CUSTOMER",
            "KeySpec": self.spec_name,
            "MultiRegion": self.multi_region,
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE" if imported else None,
            **self.algorithms,
        }
