"""Keyclave: keys that live in hardware, in a cloud or in the operating system.

>>> import keyclave
>>> keyclave.SecurityLevel.HSM.satisfies(keyclave.SecurityLevel.TPM)
True

Everything here is loaded on first use: importing this package imports no plugin, no database and no SDK.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keyclave import errors

if TYPE_CHECKING:
    from keyclave.app import Keyclave, detect, open  # noqa: A004  the name applications use: keyclave.open
    from keyclave.errors import InvalidSignature, KeyclaveError
    from keyclave.models import (
        CryptographicBackend,
        CryptographicOperation,
        EnvironmentConfiguration,
        EnvironmentType,
        KeyHandle,
        KeyStatus,
        RotationPolicy,
        SecurityLevel,
    )
    from keyclave.services.results import DetectionResult, SignResult
    from keyclave.settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "CryptographicBackend": "keyclave.models",
    "CryptographicOperation": "keyclave.models",
    "DetectionResult": "keyclave.services.results",
    "EnvironmentConfiguration": "keyclave.models",
    "EnvironmentType": "keyclave.models",
    "InvalidSignature": "keyclave.errors",
    "KeyHandle": "keyclave.models",
    "KeyStatus": "keyclave.models",
    "Keyclave": "keyclave.app",
    "KeyclaveError": "keyclave.errors",
    "RotationPolicy": "keyclave.models",
    "SecurityLevel": "keyclave.models",
    "Settings": "keyclave.settings",
    "SignResult": "keyclave.services.results",
    "detect": "keyclave.app",
    "open": "keyclave.app",
}

__all__ = [
    "CryptographicBackend",
    "CryptographicOperation",
    "DetectionResult",
    "EnvironmentConfiguration",
    "EnvironmentType",
    "InvalidSignature",
    "KeyHandle",
    "KeyStatus",
    "Keyclave",
    "KeyclaveError",
    "RotationPolicy",
    "SecurityLevel",
    "Settings",
    "SignResult",
    "detect",
    "errors",
    "open",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'keyclave' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
