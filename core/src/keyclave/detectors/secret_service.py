"""The Secret Service of a desktop on Linux: a session bus, and a program that offers the service on it.

Source: the Secret Service API of freedesktop.org. The bus is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.detectors.evidence import VARIABLE, Sign, evidence
from keyclave.detectors.files import exists
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_BUS = "DBUS_SESSION_BUS_ADDRESS"
_SERVICE = "usr/share/dbus-1/services/org.freedesktop.secrets.service"


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that there is a Secret Service."""
    return evidence("secret-service", "os-keychain", EnvironmentType.LOCAL, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    if host.environment.get(_BUS) and exists(host, _SERVICE):
        yield Sign(f"{_BUS} is set, and /{_SERVICE} offers the service", VARIABLE)
