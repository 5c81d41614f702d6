"""Ask Keyclave's detectors and the plugins where we run, all at once; what one does wrong stops no other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import MappingProxyType

from msgspec import structs

from keyclave.backends.deadlines import Job, Overdue
from keyclave.backends.failures import describe
from keyclave.backends.modules import PluginModules
from keyclave.backends.report import PluginState
from keyclave.backends.results import WrongResult, checked
from keyclave.plugin.records import DetectionEvidence, Host, Record

__all__ = ["DetectionAnswer", "detect"]

_LONGEST = 64 * 1024
"""Characters of evidence: all of it is kept together, and what is too long to be kept would take the rest along."""


class DetectionAnswer(Record, frozen=True, kw_only=True):
    """What one detector said.

    Attributes:
        source: the detector: a plugin, or one of Keyclave's own.
        evidence: what it saw; ``None`` if it saw nothing, or could not tell.
        seconds: how long it took.
        problem: why it could not tell; ``None`` if it could.
    """

    source: str
    evidence: DetectionEvidence | None
    seconds: float
    problem: str | None = None


def detect(modules: PluginModules, host: Host, *, plugins: bool) -> tuple[DetectionAnswer, ...]:
    """Return the answer of every detector, within ``host.timeout`` seconds in all.

    Args:
        modules: what is asked.
        host: what may be looked at.
        plugins: whether the loaded plugins are asked beside Keyclave's own detectors.
    """
    names = [*modules.detectors, *(_loaded(modules) if plugins else ())]
    deadline = time.monotonic() + host.timeout
    started = [(name, _start(modules, name, host)) for name in names]
    return tuple(_answer(name, job, deadline, host.timeout) for name, job in started)


def _loaded(modules: PluginModules) -> Iterable[str]:
    loaded = (report.name for report in modules.reports() if report.state is PluginState.LOADED)
    return (name for name in loaded if modules.implements(name, "detect"))


def _start(modules: PluginModules, name: str, host: Host) -> Job[DetectionAnswer]:
    """Ask one detector. It gets an environment of its own, so that what it does to it, no other sees."""
    function = modules.function(name, "detect")
    own = structs.replace(host, environment=MappingProxyType(dict(host.environment)))

    def ask() -> DetectionAnswer:
        started = time.perf_counter()
        answer = function(own)
        seconds = time.perf_counter() - started
        return DetectionAnswer(source=name, evidence=_sound(answer), seconds=seconds)

    return modules.start(name, ask)


def _sound(answer: object) -> DetectionEvidence | None:
    if answer is None:
        return None
    evidence = checked(answer, DetectionEvidence)
    if not 0 <= evidence.confidence <= 1:
        raise WrongResult("it returned a DetectionEvidence whose confidence is not between 0 and 1")
    if sum(map(len, (evidence.platform, evidence.backend_type or "", *evidence.observations))) > _LONGEST:
        raise WrongResult(f"it returned a DetectionEvidence of more than {_LONGEST} characters")
    return evidence


def _answer(name: str, job: Job[DetectionAnswer], deadline: float, limit: float) -> DetectionAnswer:
    try:
        return job.wait(max(0.0, deadline - time.monotonic()))
    except KeyboardInterrupt:
        raise
    except Overdue:
        problem, seconds = f"no answer within {limit:g} s", limit
    except WrongResult as error:
        problem, seconds = str(error), 0.0
    except BaseException as error:  # whatever a plugin lets escape
        problem, seconds = f"it raised {describe(error)}", 0.0
    return DetectionAnswer(source=name, evidence=None, seconds=seconds, problem=problem)
