"""Ask AWS KMS one question that uses no quota of cryptography, and whose answer is known."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import KeyclaveError, KeyNotFound
from keyclave.models import AvailabilityStatus
from keyclave.plugin import HealthReport

from keyclave_aws.connection import Kms

__all__ = ["look", "report"]


def look(kms: Kms, prefix: str) -> None:
    """Ask for an alias that nobody has: AWS answers that there is none.

    Raises:
        AccessDenied: the identity may not look at keys.
        KeyclaveError: AWS does not answer, or refuses the credentials.
    """
    with suppress(KeyNotFound):
        kms.ask(lambda client: client.describe_key(KeyId=f"alias/{prefix}/health"))


def report(kms: Kms, prefix: str) -> HealthReport:
    """Return whether AWS KMS answers."""
    try:
        look(kms, prefix)
    except KeyclaveError as error:
        return HealthReport(status=AvailabilityStatus.UNAVAILABLE, detail=error.message)
    return HealthReport(status=AvailabilityStatus.AVAILABLE, detail=f"{kms.endpoint} answers")
