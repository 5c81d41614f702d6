"""What evidence amounts to (FR-002): it only tightens, whatever it is put together from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.backends.manager import BackendManager, PluginPolicy
from keyclave.models import DEFAULT_PRECEDENCE, EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl
from keyclave.services.detection.cache import DetectionCache
from keyclave.services.detection.evidence import strictest
from keyclave.services.detection.service import DetectionService

from core.tests.backends.conftest import CRYPTO

ORDER = [EnvironmentType.LOCAL, EnvironmentType.DEVELOPMENT, EnvironmentType.STAGING, EnvironmentType.PRODUCTION]
EVIDENCE = st.builds(
    DetectionEvidence,
    platform=st.sampled_from(["aws", "kubernetes", "linux"]),
    backend_type=st.none() | st.sampled_from(["aws", "k8s", "acme"]),
    environment_type=st.sampled_from(ORDER),
    confidence=st.floats(0, 1),
    observations=st.lists(st.text(min_size=1), min_size=1, max_size=2).map(tuple),
)
SEEN = st.lists(st.tuples(st.none() | EVIDENCE, st.none() | EVIDENCE), max_size=4)
"""For each detector what it sees here, and what the network adds."""


class Detector:
    """Sees what the test says, and counts how often it was asked."""

    def __init__(self, see: Callable[[Host], DetectionEvidence | None]) -> None:
        self._see = see
        self.asked: list[bool] = []

    @hookimpl
    def detect(self, host: Host) -> DetectionEvidence | None:
        self.asked.append(host.network)
        return self._see(host)


def evidence(environment_type: EnvironmentType, **fields: object) -> DetectionEvidence:
    given = {"platform": "aws", "backend_type": "aws", "confidence": 0.9, "observations": ("seen",)} | fields
    return DetectionEvidence(environment_type=environment_type, **given)  # type: ignore[arg-type]  # as the test gives


def saying(found: DetectionEvidence) -> Detector:
    return Detector(lambda _: found)


@contextmanager
def service(
    directory: Path,
    *detectors: Detector,
    configured: EnvironmentType | None = None,
    time_limit: float = 10.0,
    expiry: timedelta = timedelta(hours=1),
    negative_expiry: timedelta = timedelta(hours=1),
) -> Iterator[DetectionService]:
    manager = BackendManager(
        {},
        PluginPolicy(allow=frozenset()),
        instance_id=UUID(int=1),
        environment_type=EnvironmentType.LOCAL,
        crypto=CRYPTO,
        detectors={f"test.{number}": detector for number, detector in enumerate(detectors)},
    )
    cache = DetectionCache(directory / "cache" / "detection.json", expiry=expiry, negative_expiry=negative_expiry)
    try:
        yield DetectionService(
            manager, cache, precedence=DEFAULT_PRECEDENCE, configured=configured, time_limit=time_limit
        )
    finally:
        manager.close()


def _detectors(seen: Sequence[tuple[DetectionEvidence | None, DetectionEvidence | None]]) -> list[Detector]:
    return [Detector(lambda host, pair=pair: pair[host.network]) for pair in seen]  # type: ignore[misc]


def _strictness(seen: Sequence[tuple[DetectionEvidence | None, DetectionEvidence | None]]) -> int:
    return max((ORDER.index(each.environment_type) for pair in seen for each in pair if each is not None), default=0)


@settings(max_examples=30, deadline=None)
@given(seen=SEEN, more=SEEN)
def test_fr_002_more_evidence_never_loosens(
    seen: list[tuple[DetectionEvidence | None, DetectionEvidence | None]],
    more: list[tuple[DetectionEvidence | None, DetectionEvidence | None]],
) -> None:
    with TemporaryDirectory() as directory:
        with service(Path(directory), *_detectors(seen)) as first:
            before = first.detect(network=True)
        assert ORDER.index(before.environment_type) == _strictness(seen)
        # What the cache remembers of before is evidence as well.
        with service(Path(directory), *_detectors(more)) as second:
            for after in (second.look(), second.detect(network=False), second.detect(network=True)):
                assert ORDER.index(after.environment_type) >= _strictness(
                    [(None, net) for here, net in seen if net != here]
                )
                assert ORDER.index(after.environment_type) >= _strictness([(here, None) for here, _ in more])
        with service(Path(directory), *_detectors([*seen, *more])) as both:
            together = both.detect(network=True, refresh=True)
        assert ORDER.index(together.environment_type) == _strictness([*seen, *more])


def test_the_strictest_of_nothing_is_local() -> None:
    assert strictest([]) is EnvironmentType.LOCAL
    assert sorted(ORDER, key=lambda one: [strictest([one, other]) is one for other in ORDER].count(True)) == ORDER


def test_a_server_that_never_ends_hides_nothing_and_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    gate = threading.Event()

    def hang(host: Host) -> DetectionEvidence:
        if host.network:
            gate.wait(10)
        return evidence(EnvironmentType.PRODUCTION)

    with service(tmp_path, Detector(hang), Detector(hang), time_limit=0.5) as detection:
        started = time.monotonic()
        found = detection.detect(network=True)
        assert time.monotonic() - started < 5  # the detectors would take ten seconds
        gate.set()
    assert found.environment_type is EnvironmentType.PRODUCTION
    assert len(found.evidence) == 2
    assert any(warning.startswith("test.0 could not tell: no answer within") for warning in found.warnings)


def in_cloud(host: Host) -> DetectionEvidence | None:
    """See a cloud by its metadata server, if there is time to ask it."""
    return evidence(EnvironmentType.PRODUCTION) if host.network and host.timeout > 0.1 else None


def hanging(gate: threading.Event, *, here: bool) -> Detector:
    """Answer only when the gate opens: always, or where the network may be asked."""

    def hang(host: Host) -> None:
        if here or host.network:
            gate.wait(30)

    return Detector(hang)


def test_fr_002_a_detector_that_hangs_leaves_the_others_time_for_the_network(tmp_path: Path) -> None:
    gate = threading.Event()
    with service(tmp_path, Detector(in_cloud), hanging(gate, here=True), time_limit=1) as detection:
        started = time.monotonic()
        found = detection.detect(network=True)
        assert time.monotonic() - started < 5
        assert detection.look().environment_type is EnvironmentType.PRODUCTION  # what was found is remembered
        gate.set()
    assert found.environment_type is EnvironmentType.PRODUCTION


def test_fr_002_what_is_remembered_of_a_detector_stays_where_it_cannot_tell_now(tmp_path: Path) -> None:
    gate = threading.Event()
    with service(tmp_path, Detector(in_cloud)) as detection:
        detection.detect(network=True)
    with service(tmp_path, hanging(gate, here=False), time_limit=0.5) as detection:
        found = detection.detect(network=True, refresh=True)
        gate.set()
    assert found.environment_type is EnvironmentType.PRODUCTION
    with service(tmp_path, Detector(lambda _: None)) as detection:
        assert detection.look().environment_type is EnvironmentType.PRODUCTION
        assert detection.detect(network=True, refresh=True).environment_type is EnvironmentType.LOCAL
        assert detection.look().environment_type is EnvironmentType.LOCAL


def test_fr_002_a_detector_that_says_too_much_takes_nothing_along(tmp_path: Path) -> None:
    long = evidence(EnvironmentType.LOCAL, observations=("seen",) * 100_000)
    with service(tmp_path, Detector(in_cloud), Detector(lambda host: long if host.network else None)) as detection:
        found = detection.detect(network=True)
        assert (
            "test.1 could not tell: it returned a DetectionEvidence of more than 65536 characters" in found.warnings
        )
        assert detection.look().environment_type is EnvironmentType.PRODUCTION


def test_detectors_are_asked_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def wait(_: Host) -> None:
        together.wait(10)

    with service(tmp_path, *(Detector(wait) for _ in range(4))) as detection:
        found = detection.detect(network=False)
    assert not any("could not tell" in warning for warning in found.warnings)


def test_looking_never_allows_the_network(tmp_path: Path) -> None:
    detector = Detector(lambda _: None)
    with service(tmp_path, detector) as detection:
        assert not detection.look().network
        assert not detection.detect(network=False).network
        assert detector.asked == [False, False]
        assert detection.detect(network=True).network
    assert detector.asked == [False, False, False, True]


@pytest.mark.parametrize("environment_type", [EnvironmentType.LOCAL, EnvironmentType.PRODUCTION])
def test_an_answer_of_the_network_is_used_again_for_a_while(
    tmp_path: Path, environment_type: EnvironmentType
) -> None:
    detector = Detector(lambda host: evidence(environment_type) if host.network else None)
    with service(tmp_path, detector) as detection:
        first, again = detection.detect(network=True), detection.detect(network=True)
        assert detector.asked == [False, True, False]
        assert again.network
        assert [each.cached for each in (*first.evidence, *again.evidence)] == [False, True]
        assert detection.look().environment_type is environment_type
        detection.detect(network=True, refresh=True)
    assert detector.asked == [False, True, False, False, False, True]


def test_only_what_the_network_showed_is_remembered(tmp_path: Path) -> None:
    here = evidence(EnvironmentType.PRODUCTION, observations=("variable",))
    there = evidence(EnvironmentType.PRODUCTION, observations=("variable", "server"))
    with service(tmp_path, saying(here), Detector(lambda host: there if host.network else here)) as detection:
        detection.detect(network=True)
    with service(tmp_path, Detector(lambda _: None), Detector(lambda _: None)) as elsewhere:
        (found,) = elsewhere.look().evidence
    assert (found.source, found.observations, found.cached) == ("test.1", ("server",), True)


def test_an_answer_that_shows_nothing_expires_on_its_own(tmp_path: Path) -> None:
    cloud = Detector(lambda host: evidence(EnvironmentType.PRODUCTION) if host.network else None)
    nothing = Detector(lambda _: None)
    for detector, expected in ((nothing, 2), (cloud, 1)):
        with service(tmp_path / str(expected), detector, negative_expiry=timedelta(0)) as detection:
            detection.detect(network=True)
            detection.detect(network=True)
        assert detector.asked.count(True) == expected
    with service(tmp_path / "1", cloud, expiry=timedelta(0)) as detection:
        assert detection.look().environment_type is EnvironmentType.LOCAL


def test_what_is_seen_is_put_together_for_each_detector(tmp_path: Path) -> None:
    here = evidence(EnvironmentType.STAGING, confidence=0.9, observations=("firmware",))
    there = evidence(EnvironmentType.PRODUCTION, confidence=0.7, observations=("firmware", "server"))
    with service(tmp_path, Detector(lambda host: there if host.network else here)) as detection:
        (found,) = detection.detect(network=True).evidence
    assert found.observations == ("firmware", "server")
    assert (found.environment_type, found.confidence) == (EnvironmentType.PRODUCTION, 0.9)
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("seen", "suggested"),
    [
        ([], "software"),
        ([("k8s", 0.9), ("gcp", 0.9)], "gcp"),
        ([("k8s", 0.9), ("gcp", 0.4)], "k8s"),
        ([("pkcs11-hsm", 0.3), ("tpm", 0.9)], "tpm"),
        ([("acme", 0.9)], "acme"),
        ([(None, 0.9)], "software"),
    ],
)
def test_the_suggested_backend_is_the_first_in_precedence_that_is_likely(
    tmp_path: Path, seen: list[tuple[str | None, float]], suggested: str
) -> None:
    detectors = [saying(evidence(EnvironmentType.LOCAL, backend_type=name, confidence=sure)) for name, sure in seen]
    with service(tmp_path, *detectors) as detection:
        assert detection.detect(network=False).backend_type == suggested


def test_a_plugin_that_is_missing_is_named_with_what_to_install(tmp_path: Path) -> None:
    seen = [saying(evidence(EnvironmentType.LOCAL, backend_type=name)) for name in ("gcp", "aws")]
    with service(tmp_path, *seen) as detection:
        missing = detection.detect(network=False).missing
    assert [(plugin.name, plugin.distribution) for plugin in missing] == [("gcp", "keyclave-gcp")]


@pytest.mark.parametrize(
    ("configured", "implied", "said"),
    [
        (None, EnvironmentType.LOCAL, "nothing shows a cloud or Kubernetes"),
        (None, EnvironmentType.PRODUCTION, "is not set: the rules of production apply"),
        (EnvironmentType.LOCAL, EnvironmentType.PRODUCTION, "is local, and the evidence implies production"),
        (EnvironmentType.PRODUCTION, EnvironmentType.STAGING, None),
        (EnvironmentType.LOCAL, EnvironmentType.LOCAL, None),
    ],
)
def test_what_does_not_fit_the_settings_is_a_warning(
    tmp_path: Path, configured: EnvironmentType | None, implied: EnvironmentType, said: str | None
) -> None:
    with service(tmp_path, Detector(lambda _: evidence(implied)), configured=configured) as detection:
        warnings = detection.detect(network=False).warnings
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]
