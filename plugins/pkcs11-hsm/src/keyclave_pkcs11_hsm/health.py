"""How the token is, without its PIN and without its keys."""

from __future__ import annotations

from keyclave.errors import KeyclaveError
from keyclave.models import AvailabilityStatus
from keyclave.plugin import HealthReport
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.connection import Target
from keyclave_pkcs11_hsm.errors import translate
from keyclave_pkcs11_hsm.tokens import find_token

__all__ = ["report"]

_WARNINGS = {
    TokenFlag.USER_PIN_LOCKED: "the PIN is locked",
    TokenFlag.USER_PIN_FINAL_TRY: "one more wrong PIN would lock the token",
    TokenFlag.USER_PIN_COUNT_LOW: "a wrong PIN was tried since the last good one",
    TokenFlag.USER_PIN_TO_BE_CHANGED: "the PIN is to be changed",
}


def report(target: Target) -> HealthReport:
    """Return UNAVAILABLE if the token is not there, DEGRADED if something about its PIN is amiss."""
    try:
        flags = find_token(target.module, target.label, target.serial).flags
    except PKCS11Error as error:
        return HealthReport(status=AvailabilityStatus.UNAVAILABLE, detail=translate(error).message)
    except KeyclaveError as error:
        return HealthReport(status=AvailabilityStatus.UNAVAILABLE, detail=error.message)
    warnings = [text for flag, text in _WARNINGS.items() if flag in flags]
    if warnings:
        return HealthReport(status=AvailabilityStatus.DEGRADED, detail=", ".join(warnings))
    return HealthReport(status=AvailabilityStatus.AVAILABLE)
