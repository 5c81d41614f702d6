"""Google Cloud.

Sources: "About VM metadata" (the header ``Metadata-Flavor``, which requests and answers carry); "Detect if a VM is
running in Compute Engine" (the firmware); the environment variables that Cloud Run and App Engine document.
GOOGLE_CLOUD_PROJECT shows nothing: it is set on the machines of developers. Nor does K_SERVICE, which is Knative's.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.detectors.evidence import CONFIRMED, FIRMWARE, Sign, evidence, variables
from keyclave.detectors.files import dmi
from keyclave.detectors.metadata import Probe
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_OK = 200
_FLAVOR = {"Metadata-Flavor": "Google"}
_VARIABLES = (
    ("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION"),
    ("CLOUD_RUN_WORKER_POOL",),
    ("GAE_SERVICE", "GAE_INSTANCE"),
    ("FUNCTION_TARGET", "K_SERVICE"),
)


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that we run on Google Cloud."""
    return evidence("gcp", "gcp", EnvironmentType.PRODUCTION, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    yield from variables(host, *_VARIABLES)
    if dmi(host, "product_name") in {"Google", "Google Compute Engine"}:
        yield Sign("the firmware names Google Compute Engine", FIRMWARE)
    if host.network and _answers(Probe(host)):
        yield Sign("the metadata server of Google Cloud answers", CONFIRMED)


def _answers(probe: Probe) -> bool:
    answer = probe.ask("GET", "/", _FLAVOR)
    return (
        answer is not None
        and answer.status == _OK
        and answer.headers.get("metadata-flavor") == "Google"
        and "computeMetadata/" in answer.text().splitlines()
    )
