"""A trusted platform module: its device, as Linux shows it. It is not opened."""

from __future__ import annotations

import os
from collections.abc import Iterator

from keyclave.detectors.evidence import FIRMWARE, Sign, evidence
from keyclave.detectors.files import exists, text
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_DEVICE = "dev/tpmrm0"
_VERSION = "sys/class/tpm/tpm0/tpm_version_major"
_UNUSABLE = 0.3


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that there is a TPM 2.0 to be used."""
    return evidence("tpm", "tpm", EnvironmentType.LOCAL, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    present = exists(host, _DEVICE)
    if present and os.access(host.root / _DEVICE, os.R_OK | os.W_OK):
        yield Sign(f"/{_DEVICE} can be used", FIRMWARE)
    elif present:
        yield Sign(f"/{_DEVICE} is there, and this user may not use it", _UNUSABLE)
    elif text(host, _VERSION) == "2":
        yield Sign(f"the kernel knows a TPM 2.0, and there is no /{_DEVICE} here", _UNUSABLE)
