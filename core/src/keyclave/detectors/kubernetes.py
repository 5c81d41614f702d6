"""Kubernetes: the service account that it gives to a pod.

Source: "Accessing the Kubernetes API from a Pod". A pod without a service account's token has the variables alone.
The token is never opened.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.detectors.evidence import FIRMWARE, Sign, evidence, variables
from keyclave.detectors.files import exists
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  a path


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that we run in a pod of Kubernetes."""
    return evidence("kubernetes", "k8s", EnvironmentType.PRODUCTION, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    yield from variables(host, ("KUBERNETES_SERVICE_HOST",))
    if exists(host, _TOKEN):
        yield Sign("the token of a service account is mounted", FIRMWARE)
