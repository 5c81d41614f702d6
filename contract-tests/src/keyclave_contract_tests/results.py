"""What a run found: the records that the report is made of. `contract-report.json` holds exactly these.

Times are UTC. Nothing here holds key material, a PIN or a token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from keyclave.plugin import Record

from keyclave_contract_tests.vocabulary import Cost, Evidence, Group, Level, State

__all__ = [
    "SCHEMA",
    "Capability",
    "CaseResult",
    "Framework",
    "LevelResult",
    "Plugin",
    "Report",
    "Run",
    "Scheduled",
    "Suite",
    "Target",
    "ZooResult",
]

SCHEMA = 1
"""The version of the report. A new optional field keeps it; anything else raises it."""


class Suite(Record, frozen=True, kw_only=True):
    """Which suite ran.

    Attributes:
        version: of keyclave-contract-tests.
        contract: the version of the contract, ``YYYY.MM``.
        catalogue_sha256: over the checks that were collected, so that two reports can be compared.
        vectors_commit: the commit of Wycheproof that the vectors come from.
    """

    version: str
    contract: str
    catalogue_sha256: str
    vectors_commit: str


class Framework(Record, frozen=True, kw_only=True):
    """What it ran on.

    Attributes:
        keyclave: version of the core.
        python: version of Python.
        cryptography: version of the library that is the independent oracle.
        hypothesis: version of the library that draws examples.
        platform: operating system and machine.
    """

    keyclave: str
    python: str
    cryptography: str
    hypothesis: str
    platform: str


class Plugin(Record, frozen=True, kw_only=True):
    """Which plugin was tested.

    Attributes:
        name: its entry point.
        distribution: what it was installed from; ``None`` where it was not installed.
        version: of the distribution.
        sha256: over the files that it installed, as its RECORD lists them; ``None`` where it was installed editable.
    """

    name: str
    distribution: str | None
    version: str | None
    sha256: str | None


class Target(Record, frozen=True, kw_only=True):
    """What the plugin was connected to, as ``describe()`` says.

    Attributes:
        security_level: HSM, TPM or SOFTWARE.
        statements: what the level rests on, a sentence each.
        evidence: whether it is the product itself, an emulator or a simulator.
        location: where it computes.
        connection_uri: where it is, without secrets.
        product: its name, model and firmware, as the one who ran the suite states them.
    """

    security_level: str
    statements: tuple[str, ...]
    evidence: Evidence
    location: str
    connection_uri: str | None
    product: str | None = None


class Capability(Record, frozen=True, kw_only=True):
    """What the backend says that it can do with keys of one algorithm.

    Attributes:
        algorithm: its name.
        schemes: the signature schemes, empty for a key that does not sign.
        encrypts: whether keys of this algorithm encrypt.
    """

    algorithm: str
    schemes: tuple[str, ...]
    encrypts: bool


class Run(Record, frozen=True, kw_only=True):
    """How it ran.

    Attributes:
        id: eight hexadecimal digits, part of the name of everything that the run made.
        started: when.
        seconds: how long.
        seed: what every random choice came from.
        budget: smoke, standard or deep.
        path: ``plugin``, opened as users open it; ``object``, an object with hooks.
        calls: how often each hook was called.
        keys: how many keys were made.
        partial: whether a filter, a deselection or the budget left checks out. A partial run earns no level.
        command: the command line that runs it again, a word each, without secrets; empty where none ran it.
    """

    id: str
    started: datetime
    seconds: float
    seed: int
    budget: str
    path: Literal["plugin", "object"]
    calls: dict[str, int]
    keys: int
    partial: bool
    command: tuple[str, ...] = ()


class ZooResult(Record, frozen=True, kw_only=True):
    """Whether the suite itself worked on this machine: faulty backends that it had to find before the run.

    Attributes:
        faults: how many there were.
        killed: how many were found, by the check meant for them and for the stated reason.
        survivors: the names of those that were not.
    """

    faults: int
    killed: int
    survivors: tuple[str, ...]


class CaseResult(Record, frozen=True, kw_only=True):
    """How one check ended for one subject.

    Attributes:
        id: the number of the property, and the short name of the check, such as ``21-verifies-independently``.
        subject: an algorithm, ``ALGORITHM/SCHEME``, or empty for the backend as a whole.
        title: the property, in one sentence.
        group: what it is about.
        level: the level that it counts for.
        cost: its cost class.
        security: whether it is one that no ledger may excuse.
        since: the contract version that it came with.
        state: how it ended.
        reason: why, in words; empty for PASS.
        example: the falsifying example, as hypothesis shrank it; ``None`` if there is none.
        examples: how many examples ran.
        planned: how many were planned.
        calls: how many calls it made to the backend.
        seconds: how long it took.
        p50: median of the time of a call, in milliseconds.
        p95: 95th percentile of it, in milliseconds.
        ledger: the reason that the ledger gives for a known failure.
    """

    id: str
    subject: str
    title: str
    group: Group
    level: Level
    cost: Cost
    security: bool
    since: str
    state: State
    reason: str = ""
    example: str | None = None
    examples: int = 0
    planned: int = 0
    calls: int = 0
    seconds: float = 0.0
    p50: float | None = None
    p95: float | None = None
    ledger: str | None = None


class LevelResult(Record, frozen=True, kw_only=True):
    """Whether a level was earned.

    Attributes:
        level: which.
        earned: whether.
        passed: how many of its checks passed.
        unsupported: how many were shown not to apply.
        total: how many there are.
        obstacles: what stands in the way, a sentence each.
    """

    level: Level
    earned: bool
    passed: int
    unsupported: int
    total: int
    obstacles: tuple[str, ...]


class Scheduled(Record, frozen=True, kw_only=True):
    """A key of the run that the backend deletes later.

    Attributes:
        name: its name in the run.
        uri: the backend's own address of it.
        gone_at: when the backend said that it will be gone.
    """

    name: str
    uri: str
    gone_at: datetime


class Report(Record, frozen=True, kw_only=True):
    """The whole of what a run found.

    Attributes:
        schema: the version of this format.
        suite: which suite ran.
        framework: what it ran on.
        plugin: which plugin was tested.
        target: what it was connected to.
        capabilities: what it says it can do.
        run: how it ran.
        zoo: whether the suite itself worked.
        levels: what was earned, in the order of `Level`.
        cases: every check for every subject, in the order of the catalogue.
        bounds: what the run cannot exclude, a sentence each, such as the rate of wrong signatures.
        observations: what was measured and is no verdict, a sentence each.
        leftovers: names of keys that could not be removed.
        scheduled: keys that the backend deletes later.
    """

    schema: int
    suite: Suite
    framework: Framework
    plugin: Plugin
    target: Target
    capabilities: tuple[Capability, ...]
    run: Run
    zoo: ZooResult
    levels: tuple[LevelResult, ...]
    cases: tuple[CaseResult, ...]
    bounds: tuple[str, ...] = ()
    observations: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    scheduled: tuple[Scheduled, ...] = ()
