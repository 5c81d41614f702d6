"""Amazon Web Services.

Sources: "Use the Instance Metadata Service to access instance metadata" (IMDSv2: the token, its header, and the hop
limit of the answer that carries it); "Detect whether a host is an EC2 instance" (the firmware); the environment
variables that Lambda, ECS and EKS document. The variables of the SDK's own configuration, such as AWS_PROFILE, show
nothing: they are set on the machines of developers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyclave.detectors.evidence import CONFIRMED, FIRMWARE, VARIABLE, Sign, evidence, variables
from keyclave.detectors.files import dmi
from keyclave.detectors.metadata import Probe
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_TOKEN = "/latest/api/token"  # noqa: S105  a path
_INSTANCE = "/latest/meta-data/instance-id"
_LIFETIME = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,32}")
_TOKEN_FORM = re.compile(r"[A-Za-z0-9+/_=-]{16,512}")
_OK, _UNAUTHORIZED = 200, 401
_VARIABLES = (
    ("AWS_LAMBDA_FUNCTION_NAME",),
    ("AWS_EXECUTION_ENV",),
    ("ECS_CONTAINER_METADATA_URI_V4",),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
)
_HOP_LIMIT = "in a container the hop limit may be too low, then set the instance's HttpPutResponseHopLimit to 2"


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return what shows that we run on AWS."""
    return evidence("aws", "aws", EnvironmentType.PRODUCTION, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    yield from variables(host, *_VARIABLES)
    firmware = _is_ec2(host)
    if firmware:
        yield Sign("the firmware names Amazon EC2", FIRMWARE)
    if host.network:
        yield from _metadata(Probe(host), firmware=firmware)


def _is_ec2(host: Host) -> bool:
    makers = (dmi(host, "sys_vendor"), dmi(host, "bios_vendor"))
    return "Amazon EC2" in makers or dmi(host, "bios_version").endswith(".amazon")


def _metadata(probe: Probe, *, firmware: bool) -> Iterator[Sign]:
    """Ask with a token, which is used once and kept nowhere; what answers only without one is named as such."""
    answer = probe.ask("PUT", _TOKEN, _LIFETIME, share=0.5)
    if answer is not None and answer.status == _OK and _TOKEN_FORM.fullmatch(answer.text()):
        named = probe.ask("GET", _INSTANCE, {"X-aws-ec2-metadata-token": answer.text()})
        if named is not None and named.status == _OK and _INSTANCE_ID.fullmatch(named.text()):
            yield Sign("the instance metadata service of EC2 answers, with a token", CONFIRMED)
            return
    open_to_all = probe.ask("GET", _INSTANCE, {})
    if open_to_all is not None and open_to_all.status == _OK and _INSTANCE_ID.fullmatch(open_to_all.text()):
        yield Sign(
            f"the instance metadata service of EC2 answers only without a token, and none gets here: {_HOP_LIMIT}",
            VARIABLE,
        )
    elif (
        open_to_all is not None
        and open_to_all.status == _UNAUTHORIZED
        and _is_ec2_server(open_to_all.headers.get("server"))
    ):
        yield Sign(f"the instance metadata service of EC2 wants a token, and none gets here: {_HOP_LIMIT}", VARIABLE)
    elif firmware:
        yield Sign(
            f"the instance metadata service of EC2 does not answer: it is turned off, or {_HOP_LIMIT}", VARIABLE
        )


def _is_ec2_server(name: str | None) -> bool:
    return name is not None and name.startswith("EC2ws")
