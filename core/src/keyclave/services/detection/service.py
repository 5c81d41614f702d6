"""Where we run (FR-002): evidence from every detector, and what it amounts to.

Evidence only tightens: each piece names an environment whose rules it implies, the strictest one counts, and what is
seen in one place never takes away what is seen in another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from keyclave.backends.catalog import FIRST_PARTY
from keyclave.backends.detection import DetectionAnswer
from keyclave.backends.manager import BackendManager
from keyclave.models.levels import EnvironmentType
from keyclave.plugin.records import Host
from keyclave.services.detection.cache import DetectionCache
from keyclave.services.detection.evidence import gathered, news, strictest, unanswered
from keyclave.services.results import Detected, DetectionResult, MissingPlugin

__all__ = ["DetectionService"]

_NOTHING = (
    "nothing shows a cloud or Kubernetes: unless [environment] type says otherwise, the rules are those of local"
)
_ROOT = Path("/")
_LIKELY = 0.5
_LAST_RESORT = "software"


class DetectionService:
    """Looks at the machine that this process runs on.

    Args:
        backends: whom to ask.
        cache: where answers from the network are kept.
        precedence: plugins in order of preference.
        configured: the type of environment that the settings name; ``None`` if they name none.
        time_limit: how many seconds all answers may take together.
    """

    def __init__(
        self,
        backends: BackendManager,
        cache: DetectionCache,
        *,
        precedence: Sequence[str],
        configured: EnvironmentType | None,
        time_limit: float,
    ) -> None:
        self._backends = backends
        self._cache = cache
        self._precedence = precedence
        self._configured = configured
        self._time_limit = time_limit

    def look(self) -> DetectionResult:
        """Return what variables, files and the firmware show, and what the cache remembers, without the network.

        Keyclave's own detectors are asked, and no plugin is loaded.
        """
        started = time.perf_counter()
        return self._result(started, self._ask(self._time_limit, plugins=False), self._cache.read())

    def detect(self, *, network: bool, refresh: bool = False) -> DetectionResult:
        """Return what every detector sees, those of the plugins too.

        All are asked without the network first: a server that never ends must not hide what is known here.

        Args:
            network: whether the metadata servers of the clouds may be asked.
            refresh: whether they are asked even if the cache remembers what they answered.
        """
        self._backends.load_plugins()  # a foreign one is tried in a process of its own, which takes its time
        started = time.perf_counter()
        remembered = self._cache.read()
        if not network or (remembered is not None and not refresh):
            return self._result(started, self._ask(self._time_limit), remembered)
        here = self._ask(self._time_limit / 2)  # a detector that hangs leaves the others time for the network
        left = max(0.0, self._time_limit - (time.perf_counter() - started))
        asked = self._ask(left, network=True)
        kept = tuple(unanswered(asked, remembered or ()))
        self._cache.write((*news(here, asked), *kept))
        return self._result(started, (*here, *asked), kept, network=True)

    def _ask(self, seconds: float, *, network: bool = False, plugins: bool = True) -> tuple[DetectionAnswer, ...]:
        host = Host(environment=dict(os.environ), root=_ROOT, timeout=seconds, network=network)
        return self._backends.detect(host, plugins=plugins)

    def _result(
        self,
        started: float,
        answers: Sequence[DetectionAnswer],
        remembered: Sequence[DetectionAnswer] | None,
        *,
        network: bool = False,
    ) -> DetectionResult:
        evidence = tuple(gathered(answers, remembered or ()))
        implied = strictest(each.environment_type for each in evidence)
        return DetectionResult(
            environment_type=implied,
            backend_type=self._suggested(evidence),
            evidence=evidence,
            missing=tuple(self._missing(evidence)),
            warnings=tuple(dict.fromkeys(self._warnings(answers, implied))),
            network=network or remembered is not None,
            seconds=time.perf_counter() - started,
        )

    def _suggested(self, evidence: Iterable[Detected]) -> str:
        """Return the first in order of precedence among what is likely there; others come after those it names."""
        likely = {each.backend_type for each in evidence if each.confidence >= _LIKELY} - {None}
        named = [name for name in self._precedence if name in likely]
        return next(iter((*named, *sorted(filter(None, likely)))), _LAST_RESORT)

    def _missing(self, evidence: Iterable[Detected]) -> Iterator[MissingPlugin]:
        for each in evidence:
            name = each.backend_type
            if name in FIRST_PARTY and each.confidence >= _LIKELY and name not in self._backends.installed():
                yield MissingPlugin(name=name, platform=each.platform, distribution=f"keyclave-{name}")

    def _warnings(self, answers: Iterable[DetectionAnswer], implied: EnvironmentType) -> Iterator[str]:
        for answer in answers:
            if answer.problem is not None:
                yield f"{answer.source} could not tell: {answer.problem}"
        if implied is EnvironmentType.LOCAL:
            if self._configured is None:
                yield _NOTHING
        elif self._configured is None:
            yield f"[environment] type is not set: the rules of {implied.value} apply"
        elif strictest((self._configured, implied)) is not self._configured:
            yield f"[environment] type is {self._configured.value}, and the evidence implies {implied.value}"
