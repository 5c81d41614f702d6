"""Keyclave's own detectors: what shows where we run, one file for each platform.

Each module implements the hook of `keyclave.plugin.Detection`, as a plugin's does, and is called as a plugin's is.
They are part of the core because what tightens the policy must not depend on which plugins are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keyclave.detectors import aws, azure, gcp, host, kubernetes, pkcs11, secret_service, tpm

__all__ = ["DETECTORS"]

DETECTORS: Mapping[str, object] = MappingProxyType(
    {
        "keyclave.azure": azure,
        "keyclave.aws": aws,
        "keyclave.gcp": gcp,
        "keyclave.kubernetes": kubernetes,
        "keyclave.tpm": tpm,
        "keyclave.pkcs11": pkcs11,
        "keyclave.secret-service": secret_service,
        "keyclave.host": host,
    }
)
"""By a name that no plugin can have, since it holds a dot."""
