"""How what was seen becomes evidence: a platform is as sure as the surest thing that shows it."""

from __future__ import annotations

from collections.abc import Iterable

from keyclave.models.levels import EnvironmentType
from keyclave.plugin.records import DetectionEvidence, Host, Record

__all__ = ["CONFIRMED", "FIRMWARE", "VARIABLE", "Sign", "evidence", "variables"]

CONFIRMED, FIRMWARE, VARIABLE = 0.99, 0.9, 0.7
"""How sure: a server that answers as only this cloud's does; what the firmware says; a variable anybody can set."""


class Sign(Record, frozen=True):
    """One thing that was seen.

    Attributes:
        text: a sentence, without what a variable or a file holds unless it is known not to be secret.
        confidence: how sure it makes the platform, 0 to 1.
    """

    text: str
    confidence: float


def evidence(
    platform: str, backend_type: str | None, environment_type: EnvironmentType, signs: Iterable[Sign]
) -> DetectionEvidence | None:
    """Return what the signs amount to; ``None`` where there are none."""
    seen = tuple(signs)
    if not seen:
        return None
    return DetectionEvidence(
        platform=platform,
        backend_type=backend_type,
        environment_type=environment_type,
        confidence=max(sign.confidence for sign in seen),
        observations=tuple(sign.text for sign in seen),
    )


def variables(host: Host, *wanted: tuple[str, ...]) -> Iterable[Sign]:
    """Yield a sign for each group of variables that are all set, without their values."""
    for group in wanted:
        if all(host.environment.get(name) for name in group):
            verb = "is" if len(group) == 1 else "are"
            yield Sign(f"{' and '.join(group)} {verb} set", VARIABLE)
