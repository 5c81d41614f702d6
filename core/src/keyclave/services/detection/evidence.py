"""Put evidence together: what is seen in one place never takes away what is seen in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import structs

from keyclave.backends.detection import DetectionAnswer
from keyclave.models.levels import EnvironmentType
from keyclave.plugin.records import DetectionEvidence
from keyclave.services.results import Detected

__all__ = ["gathered", "news", "strictest", "unanswered"]

_STRICTNESS = {
    EnvironmentType.LOCAL: 0,
    EnvironmentType.DEVELOPMENT: 1,
    EnvironmentType.STAGING: 2,
    EnvironmentType.PRODUCTION: 3,
}


def strictest(types: Iterable[EnvironmentType]) -> EnvironmentType:
    """Return the type with the strictest rules; local if there is none.

    >>> strictest([EnvironmentType.LOCAL, EnvironmentType.PRODUCTION]).value
    'production'
    """
    return max(types, key=_STRICTNESS.__getitem__, default=EnvironmentType.LOCAL)


def news(here: Iterable[DetectionAnswer], asked: Iterable[DetectionAnswer]) -> Iterator[DetectionAnswer]:
    """Yield what only the network showed: variables are those of this process, and concern no other."""
    known = {answer.source: answer.evidence for answer in here}
    for answer in asked:
        evidence, before = answer.evidence, known.get(answer.source)
        if evidence is None or evidence == before:
            continue
        seen = () if before is None else before.observations
        new = tuple(observation for observation in evidence.observations if observation not in seen)
        yield structs.replace(answer, evidence=structs.replace(evidence, observations=new or evidence.observations))


def unanswered(asked: Iterable[DetectionAnswer], remembered: Iterable[DetectionAnswer]) -> Iterator[DetectionAnswer]:
    """Yield what is remembered of the detectors that could not tell now: silence takes nothing away."""
    silent = {answer.source for answer in asked if answer.problem is not None}
    return (answer for answer in remembered if answer.source in silent)


def gathered(answers: Iterable[DetectionAnswer], remembered: Iterable[DetectionAnswer]) -> Iterator[Detected]:
    """Yield what each detector saw, put together from all its answers."""
    found: dict[tuple[str, str], Detected] = {}
    for cached, group in ((False, answers), (True, remembered)):
        for answer in group:
            if answer.evidence is None:
                continue
            new = _detected(answer, answer.evidence, cached=cached)
            key = (new.source, new.platform)
            found[key] = _joined(found[key], new) if key in found else new
    yield from found.values()


def _detected(answer: DetectionAnswer, evidence: DetectionEvidence, *, cached: bool) -> Detected:
    return Detected(source=answer.source, seconds=answer.seconds, cached=cached, **structs.asdict(evidence))


def _joined(first: Detected, second: Detected) -> Detected:
    added = set(second.observations) - set(first.observations)
    return structs.replace(
        first,
        backend_type=first.backend_type or second.backend_type,
        environment_type=strictest((first.environment_type, second.environment_type)),
        confidence=max(first.confidence, second.confidence),
        observations=tuple(dict.fromkeys((*first.observations, *second.observations))),
        seconds=first.seconds if second.cached else first.seconds + second.seconds,
        cached=first.cached or (second.cached and bool(added)),
    )
