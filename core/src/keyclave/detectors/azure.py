"""Microsoft Azure.

Sources: "Azure Instance Metadata Service for virtual machines" (its ``compute`` document, and the header
``Metadata``); "How to use managed identities for App Service"; "Microsoft Entra Workload ID" for AKS. The chassis tag
is the one by which cloud-init knows Azure; the vendor alone is on every machine that Microsoft makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

from keyclave.detectors.evidence import CONFIRMED, FIRMWARE, Sign, evidence, variables
from keyclave.detectors.files import dmi
from keyclave.detectors.metadata import Probe
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_CHASSIS = "7783-7084-3265-9085-8269-3286-77"
_COMPUTE = "/metadata/instance/compute?api-version=2021-02-01"
_VARIABLES = (
    ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"),
    ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID"),
    ("WEBSITE_INSTANCE_ID",),
    ("CONTAINER_APP_NAME", "CONTAINER_APP_REVISION"),
)


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that we run on Azure."""
    return evidence("azure", "azure", EnvironmentType.PRODUCTION, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    yield from variables(host, *_VARIABLES)
    if dmi(host, "chassis_asset_tag") == _CHASSIS:
        yield Sign("the firmware has the chassis tag of Azure", FIRMWARE)
    if host.network and _answers(Probe(host)):
        yield Sign("the metadata service of Azure answers", CONFIRMED)


def _answers(probe: Probe) -> bool:
    answer = probe.ask("GET", _COMPUTE, {"Metadata": "true"})
    if answer is None or answer.status != 200:  # noqa: PLR2004  OK; http.client would be imported for its name
        return False
    try:
        compute = json.loads(answer.body)
        return str(compute["azEnvironment"]).startswith("Azure") and bool(UUID(compute["vmId"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
