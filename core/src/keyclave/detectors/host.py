"""The operating system, and the machine as its firmware names it: what there is where nothing else is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from keyclave.detectors.evidence import FIRMWARE, Sign, evidence
from keyclave.detectors.files import dmi, exists, text
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_NAMES = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
_KEYCHAINS = frozenset({"darwin", "win32"})
"""Systems that have a keychain always; on Linux it is the Secret Service that shows one."""


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return which operating system this is."""
    backend_type = "os-keychain" if sys.platform in _KEYCHAINS else None
    return evidence(sys.platform, backend_type, EnvironmentType.LOCAL, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    yield Sign(f"the operating system is {_NAMES.get(sys.platform, sys.platform)}", FIRMWARE)
    if release := _release(host):
        yield Sign(f"it calls itself {release}", FIRMWARE)
    if machine := " ".join(filter(None, (dmi(host, "sys_vendor"), dmi(host, "product_name")))):
        yield Sign(f"the firmware calls the machine {machine}", FIRMWARE)
    if exists(host, ".dockerenv"):
        yield Sign("this is a container of Docker", FIRMWARE)


def _release(host: Host) -> str:
    lines = text(host, "etc/os-release").splitlines()
    names = (line.partition("=")[2].strip("\"'") for line in lines if line.startswith("PRETTY_NAME="))
    return next(names, "")
