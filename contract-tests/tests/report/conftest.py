"""A report as a run against a token could make it: some 250 results, a few of them bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from keyclave.models import ALGORITHMS
from keyclave_contract_tests.results import (
    SCHEMA,
    Capability,
    CaseResult,
    Framework,
    LevelResult,
    Plugin,
    Report,
    Run,
    Suite,
    Target,
    ZooResult,
)
from keyclave_contract_tests.vocabulary import Cost, Evidence, Group, Level, State

BACKEND = ("",)
KEYS = tuple(ALGORITHMS)
SCHEMES = tuple(f"{name}/{scheme}" for name, algorithm in ALGORITHMS.items() for scheme in algorithm.schemes)
CIPHERS = ("AES_256",)
VECTORS = ("RSA_2048/RSA_PSS_SHA256", "RSA_4096/RSA_PKCS1_SHA512", "ECDSA_P256/ECDSA_SHA256", "ED25519/ED25519")
CHECKS = (
    (Group.KEYS, Level.CORE, KEYS, "1-create-then-get", "A key that was created is found, with the same public key."),
    (Group.KEYS, Level.CORE, BACKEND, "4-get-missing", "A key that does not exist is KeyNotFound, never None."),
    (Group.KEYS, Level.CORE, BACKEND, "8-list-complete", "A list is complete beyond the size of a page."),
    (Group.SIGN, Level.SIGN, SCHEMES, "21-verifies-independently", "A signature verifies under the exported key."),
    (Group.SIGN, Level.SIGN, SCHEMES, "23-boundary-lengths", "Messages of every boundary length are signed whole."),
    (Group.SIGN, Level.SIGN, SCHEMES, "26-every-signature", "Each of a hundred signatures in a row is good."),
    (Group.SIGN, Level.SIGN, SCHEMES, "27-changed-signature", "A signature with one bit changed is refused."),
    (Group.SIGN, Level.SIGN, SCHEMES, "28-changed-message", "A signature does not hold for another message."),
    (Group.SIGN, Level.SIGN, SCHEMES, "29-other-key", "A signature of another key is refused."),
    (Group.SIGN, Level.SIGN, SCHEMES, "33-declared-encoding", "The encoding is the one that describe() declares."),
    (Group.SIGN, Level.SIGN, SCHEMES, "37-digest-lengths", "A digest of the wrong length is refused."),
    (Group.ENCRYPT, Level.ENCRYPT, CIPHERS, "41-round-trip", "What was encrypted is decrypted, empty data too."),
    (Group.ENCRYPT, Level.ENCRYPT, CIPHERS, "42-associated-data", "Other associated data is refused."),
    (Group.WRAP, Level.WRAP, KEYS, "55-wrap-then-unwrap", "A key that was wrapped and imported does the same."),
    (Group.WRAP, Level.WRAP, KEYS, "57-corrupted-blob", "A blob that was changed makes no key."),
    (Group.WRAP, Level.CORE, KEYS, "59-non-exportable", "A key that is not exportable leaves by no way."),
    (Group.VERSIONS, Level.ROTATE, KEYS, "67-new-material", "A new version has new material."),
    (Group.USAGE, Level.CORE, KEYS, "82-wrong-use", "A key that encrypts does not sign, and the reverse."),
    (Group.ERRORS, Level.CORE, BACKEND, "84-errors-of-the-framework", "Every failure is an error of the framework."),
    (Group.ERRORS, Level.CORE, BACKEND, "88-refused-locally", "Bad arguments are refused before anything is sent."),
    (Group.NAMES, Level.CORE, BACKEND, "92-distinct-names", "Names that differ stay different."),
    (Group.CONCURRENCY, Level.PARALLEL, BACKEND, "96-threads", "Each thread gets the signature of its own message."),
    (Group.CONCURRENCY, Level.PARALLEL, BACKEND, "98-processes", "Two processes see each other's keys."),
    (Group.DURABILITY, Level.DURABLE, BACKEND, "103-reopen", "Keys and deletions outlast a restart."),
    (Group.DURABILITY, Level.DURABLE, BACKEND, "104-killed", "A process killed in the middle leaves old or new."),
    (Group.HEALTH, Level.CORE, BACKEND, "108-health-is-harmless", "Health never raises and changes nothing."),
    (Group.REDACTION, Level.CORE, BACKEND, "115-no-material", "No key material is in logs, errors or reprs."),
    (Group.MODEL, Level.CORE, KEYS, "120-model", "Any sequence of calls does what the model says."),
    (Group.VECTORS, Level.SIGN, VECTORS, "121-wycheproof", "The vectors of Wycheproof come out as published."),
)
ODD = {
    ("23-boundary-lengths", "ED25519/ED25519"): (
        State.FAIL,
        "the signature over 65,536 bytes does not verify: the backend signed the first 65,535 only",
        "test_boundary_lengths(\n    message=bytes(65536),  # the shortest that fails\n)",
    ),
    ("33-declared-encoding", "ECDSA_P384/ECDSA_SHA384"): (
        State.FAIL,
        "describe() says DER, and the signature is 96 bytes of r and s",
        "test_declared_encoding(\n    digest=b'" + "\\x00" * 48 + "',\n)",
    ),
    ("104-killed", ""): (
        State.ERROR,
        "the token did not come back within 30 s after the process was killed: BackendUnavailable",
        None,
    ),
    ("57-corrupted-blob", "RSA_2048"): (
        State.FAIL,
        "import_key took a blob whose last byte was changed, and made a key",
        "test_corrupted_blob(\n    algorithm='RSA_2048',\n    changed=-1,\n)",
    ),
    ("98-processes", ""): (State.KNOWN_FAIL, "the second process saw the new key after 12 s, not within 5 s", None),
}


def cases() -> Iterator[CaseResult]:
    """Yield every check of the catalogue for each of its subjects."""
    for group, level, subjects, name, title in CHECKS:
        for number, subject in enumerate(subjects):
            state, reason, example = ODD.get((name, subject), _usual(name, subject))
            ran = state is not State.NOT_RUN
            yield CaseResult(
                id=name,
                subject=subject,
                title=title,
                group=group,
                level=level,
                cost=Cost.MODERATE,
                security=name.startswith(("59", "115")),
                since="2026.11",
                state=state,
                reason=reason,
                example=example,
                examples=10 if ran else 0,
                planned=10,
                calls=(12 + 3 * number) if ran else 0,
                seconds=0.4 + number / 10 if ran else 0.0,
                p50=4.2 if ran else None,
                p95=9.8 if ran else None,
                ledger="Replication between slots takes up to 15 s; fixed in firmware 4.3."
                if name.startswith("98")
                else None,
            )


def _usual(name: str, subject: str) -> tuple[State, str, str | None]:
    if subject.startswith("ML_DSA_65"):
        return State.UNSUPPORTED, "create_key raised CapabilityUnsupported, and no key was left", None
    if name.startswith("55") and not subject.startswith("RSA"):
        return State.UNSUPPORTED, "wrap_key raised CapabilityUnsupported, and nothing changed", None
    if name.startswith("26") and subject.startswith("RSA_4096"):
        return State.NOT_RUN, "the budget of 1,500 calls was used up", None
    return State.PASS, "", None


def _levels(results: tuple[CaseResult, ...]) -> tuple[LevelResult, ...]:
    return tuple(_level(level, [case for case in results if case.level is level]) for level in Level)


def _level(level: Level, counted: list[CaseResult]) -> LevelResult:
    bad = [case for case in counted if case.state not in (State.PASS, State.UNSUPPORTED)]
    obstacles = tuple(f"{case.id} for {case.subject or 'the backend'} is {case.state.value}." for case in bad)
    if level is Level.HARDWARE:
        obstacles = ("The plugin does not implement attest_key.",)
    return LevelResult(
        level=level,
        earned=not obstacles,
        passed=sum(case.state is State.PASS for case in counted),
        unsupported=sum(case.state is State.UNSUPPORTED for case in counted),
        total=len(counted),
        obstacles=obstacles,
    )


def sample() -> Report:
    """Return the report."""
    results = tuple(cases())
    return Report(
        schema=SCHEMA,
        suite=Suite(version="0.1.0", contract="2026.11", catalogue_sha256="5f" * 32, vectors_commit="3fa63dd0344a"),
        framework=Framework(
            keyclave="0.1.0", python="3.11.7", cryptography="50.0.2", hypothesis="6.170.15", platform="Linux x86_64"
        ),
        plugin=Plugin(
            name="acme-hsm", distribution="keyclave-acme-hsm", version="1.4.2", sha256="c0ffee" + "9a" * 29
        ),
        target=Target(
            security_level="HSM",
            statements=(
                "The token says that it is hardware (CKF_HW_SLOT).",
                "Every key is CKA_SENSITIVE, CKA_NEVER_EXTRACTABLE and CKA_LOCAL.",
            ),
            evidence=Evidence.LIVE,
            location="device",
            connection_uri="pkcs11:token=acme;serial=0042;manufacturer=Acme%20Corporation",
            product="Acme Vault HSM 3000, firmware 4.2",
        ),
        capabilities=tuple(
            Capability(algorithm=name, schemes=algorithm.schemes, encrypts=not algorithm.signs)
            for name, algorithm in ALGORITHMS.items()
            if name != "ML_DSA_65"
        ),
        run=Run(
            id="3c91b0de",
            started=datetime(2026, 11, 25, 14, 3, 7, tzinfo=UTC),
            seconds=263.4,
            seed=20261125,
            budget="standard",
            path="plugin",
            calls={
                "create_key": 31,
                "sign": 1042,
                "public_key": 204,
                "find_key": 77,
                "destroy_key": 31,
                "wrap_key": 9,
            },
            keys=31,
            partial=False,
            command=(
                *("keyclave", "conform", "acme-hsm", "--set", "slot=1", "--set", "pin_file=pin"),
                *("--budget", "standard", "--report", "report", "--seed", "20261125"),
            ),
        ),
        zoo=ZooResult(faults=5, killed=5, survivors=()),
        levels=_levels(results),
        cases=results,
        bounds=(
            "A fault that spoils fewer than 3 in 2,140 signatures can have gone unseen (rule of three, 95 %).",
            "A fault at one length of message only is seen if it is one of the 14 lengths that were tried.",
        ),
        observations=("Verifying a wrong signature took as long as a good one: Welch's t is 0.8.",),
    )


@pytest.fixture(scope="session")
def report() -> Report:
    """Give the report of a run with failures."""
    return sample()


@pytest.fixture(scope="session")
def perfect(report: Report) -> Report:
    """Give the report of a run in which everything passed."""
    passed = tuple(
        msgspec.structs.replace(case, state=State.PASS, reason="", example=None, ledger=None) for case in report.cases
    )
    earned = tuple(
        msgspec.structs.replace(level, earned=True, passed=level.total, unsupported=0, obstacles=())
        for level in report.levels
    )
    return msgspec.structs.replace(report, cases=passed, levels=earned)


def _hostile(report: Report, text: str) -> Report:
    """Return a small report, one result for each state, with this text wherever a plugin or a product can put one."""
    replace = msgspec.structs.replace
    case = replace(report.cases[0], id=text, subject=text, title=text, reason=text, example=text, ledger=text)
    return replace(
        report,
        plugin=Plugin(name=text, distribution=text, version=text, sha256=text),
        target=replace(report.target, statements=(text,), location=text, connection_uri=text, product=text),
        capabilities=(Capability(algorithm=text, schemes=(text,), encrypts=False),),
        run=replace(report.run, calls={text: 1}, command=("keyclave", "conform", text)),
        zoo=ZooResult(faults=5, killed=4, survivors=(text,)),
        levels=tuple(replace(level, earned=False, obstacles=(text,)) for level in report.levels),
        cases=tuple(replace(case, state=state) for state in State),
        bounds=(text,),
        observations=(text,),
        leftovers=(text,),
    )


@pytest.fixture(scope="session")
def hostile(report: Report) -> Callable[[str], Report]:
    """Give a function that returns a report with a text in every place that is not ours."""
    return lambda text: _hostile(report, text)
