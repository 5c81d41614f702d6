"""Health tells the truth, costs nothing and keeps secrets to itself; importing and detecting do nothing else."""

from __future__ import annotations

import time

from keyclave.backends.limits import TimeLimits
from keyclave.errors import KeyclaveError
from keyclave.models import AvailabilityStatus
from keyclave.plugin import HealthReport, KeyReference, PermissionReport

from keyclave_contract_tests.away import taken_away
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.kept import kept
from keyclave_contract_tests.leaks import leaked
from keyclave_contract_tests.plugin_looks import look
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Violation, expect, type_name
from keyclave_contract_tests.vocabulary import Group, Level

_TIMES = 8
_ASKED = 2
_MISSING = "while the directory of the backend is missing"


@check(108, group=Group.HEALTH, level=Level.CORE, calls=13, needs=("check_health",))
def health_has_no_side_effect(bench: Bench, target: Target) -> None:
    """Asking for the health raises nothing, takes no longer than Keyclave waits, and changes no key and no file."""
    key = bench.key(any_algorithm(bench))
    keys, files = _keys(bench), _files(bench)
    limit = TimeLimits().at(bench.subject.description.location).of("check_health")
    for _ in range(_TIMES):
        started = time.perf_counter()
        _health(bench)
        seconds = time.perf_counter() - started
        expect(seconds <= limit, f"check_health took {seconds:.1f} s, where Keyclave waits {limit:g} s")
    expect(_keys(bench) == keys, "check_health changed the keys of the backend")
    expect(_files(bench) == files, "check_health changed which files the backend keeps")
    works(bench, key)


@check(109, group=Group.HEALTH, level=Level.CORE, calls=5, needs=("check_health",), optional=("check_health",))
def health_sees_what_is_missing(bench: Bench, target: Target) -> None:
    """A backend is not AVAILABLE while its directory is missing, unless its keys work all the same."""
    key = bench.key(any_algorithm(bench))
    with taken_away(bench):
        found = _health(bench, _MISSING)
        if found.status is AvailabilityStatus.AVAILABLE:
            _reached(bench, key, f"check_health says AVAILABLE {_MISSING}")
        else:
            expect(found.detail.strip(), f"check_health says {found.status.value}, and not why")


@check(110, group=Group.HEALTH, level=Level.CORE, calls=4, needs=("check_health",), security=True)
def health_tells_no_secrets(bench: Bench, target: Target) -> None:
    """Neither the health, on good days or on bad ones, nor the description repeats what is in the backend's files."""
    works(bench, bench.key(any_algorithm(bench)))
    description, secrets = bench.subject.describe(), tuple(kept(bench))
    said = {
        "the description": " ".join((*description.evidence, description.connection_uri or "")),
        "the health": _health(bench).detail,
    }
    if bench.context().data_directory.exists():
        with taken_away(bench):
            said["the health on a bad day"] = _health(bench, _MISSING).detail
    for what, text in said.items():
        for name, secret in secrets:
            form = leaked(secret, text)
            expect(form is None, f"{what} repeats the content of {name}, {form}")


@check(111, group=Group.HEALTH, level=Level.CORE, calls=7, needs=("check_health",), optional=("check_health",))
def health_recovers(bench: Bench, target: Target) -> None:
    """A backend whose keys work is not UNAVAILABLE, at first and when what was missing is there again."""
    key = bench.key(any_algorithm(bench))
    works(bench, key)
    _well(bench, "while its keys work")
    with taken_away(bench):
        _health(bench, _MISSING)
    again = "when the directory of the backend is there again"
    _well(bench, again)
    _reached(bench, key, again)


@check(134, group=Group.HEALTH, level=Level.CORE, calls=10, needs=("check_permissions",))
def permissions_are_told_without_side_effect(bench: Bench, target: Target) -> None:
    """Asking for missing permissions changes no key and no file, and on a backend that works none is missing."""
    key = bench.key(any_algorithm(bench))
    works(bench, key)
    keys, files = _keys(bench), _files(bench)
    limit = TimeLimits().at(bench.subject.description.location).of("check_permissions")
    for _ in range(_ASKED):
        started = time.perf_counter()
        report = _permissions(bench)
        seconds = time.perf_counter() - started
        expect(seconds <= limit, f"check_permissions took {seconds:.1f} s, where Keyclave waits {limit:g} s")
        expect(not report.missing, f"the backend works, and check_permissions misses {', '.join(report.missing)}")
        expect(all(name.strip() for name in report.unchecked), "check_permissions names a permission without words")
    expect(_keys(bench) == keys, "check_permissions changed the keys of the backend")
    expect(_files(bench) == files, "check_permissions changed which files the backend keeps")
    works(bench, key)


@check(112, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("open_backend", "detect"))
def detection_is_quiet(bench: Bench, target: Target) -> None:
    """Detection is quick, imports no SDK, changes nothing, and asks only fixed addresses nearby, where it may."""
    for what in look(bench.source, detects=True).noise:
        raise Violation(f"detect {what}")


@check(113, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("open_backend", "detect"), security=True)
def evidence_is_sound(bench: Bench, target: Target) -> None:
    """Evidence of a platform is whole and the same each time, leads to this plugin alone, and repeats no secrets."""
    for what in look(bench.source, detects=True).wrong:
        raise Violation(f"detect {what}")


@check(114, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("open_backend",))
def importing_the_plugin_is_quiet(bench: Bench, target: Target) -> None:
    """The plugin's module imports no SDK and does nothing to the world, and its settings refuse unknown names."""
    seen = look(bench.source, detects=False)
    for what in seen.noise:
        raise Violation(f"importing the plugin {what}")
    for what in seen.wrong:
        raise Violation(f"the plugin is imported, and {what}")


def _health(bench: Bench, when: str = "while the backend works") -> HealthReport:
    try:
        return bench.subject.check_health()
    except Exception as error:
        raise Violation(f"check_health raised {type_name(error)} {when}") from error


def _permissions(bench: Bench) -> PermissionReport:
    try:
        return bench.subject.check_permissions()
    except Exception as error:
        raise Violation(f"check_permissions raised {type_name(error)} while the backend works") from error


def _well(bench: Bench, when: str) -> None:
    status = _health(bench, when).status
    expect(status is not AvailabilityStatus.UNAVAILABLE, f"check_health says UNAVAILABLE {when}")


def _reached(bench: Bench, key: Key, when: str) -> None:
    """Find and use a key."""
    try:
        if bench.subject.has("find_key"):
            bench.subject.find_key(key.reference.label)
        works(bench, key)
    except KeyclaveError as error:
        raise Violation(f"{when}, and using a key raised {type(error).__name__}") from error


def _keys(bench: Bench) -> tuple[KeyReference, ...]:
    return bench.subject.list_keys() if bench.subject.has("list_keys") else ()


def _files(bench: Bench) -> list[str]:
    directory = bench.context().data_directory
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
