"""A backend says how it is, truly and at no cost; its plugin loads quietly, and refuses wrong settings."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from keyclave.backends.limits import TimeLimits
from keyclave.errors import KeyclaveError
from keyclave.models import AvailabilityStatus
from keyclave.plugin import HealthReport

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.leaks import SHORTEST, leaked
from keyclave_contract_tests.loading import load
from keyclave_contract_tests.loading_probe import Loaded
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.waiting import WINDOW, eventually

_LIMITS = TimeLimits()
_BAD = AvailabilityStatus.UNAVAILABLE


@check(108, group=Group.HEALTH, level=Level.CORE, calls=5, needs=("check_health",))
def health_costs_nothing(bench: Bench, target: Target) -> None:
    """Asking how the backend is raises nothing, takes little time, and leaves its keys as they are."""
    before = bench.subject.list_keys() if bench.subject.has("list_keys") else ()
    for _ in range(3):
        started = time.perf_counter()
        _health(bench.subject)
        seconds = time.perf_counter() - started
        expect(seconds <= _LIMITS.other, f"health took {seconds:.1f} s, where Keyclave waits {_LIMITS.other:g} s")
    after = bench.subject.list_keys() if bench.subject.has("list_keys") else ()
    expect(before == after, "asking for health changed the keys of the backend")


@check(109, group=Group.HEALTH, level=Level.CORE, calls=8, keys=2, needs=("check_health", "create_key"))
def health_is_what_calls_show(bench: Bench, target: Target) -> None:
    """Health is good while keys can be used, and not good when they cannot, as after a disk went away."""
    with bench.another(directory=bench.directory / "apart") as apart:
        key = bench.make(any_algorithm(bench), subject=apart)
        works(bench, key, apart)
        expect(_health(apart).status is not _BAD, "health is bad, and keys can be used")
        _away(bench.directory / "apart")
        good = _health(apart).status is AvailabilityStatus.AVAILABLE
        try:
            apart.find_key(key.reference.label)
            works(bench, key, apart)
        except KeyclaveError as error:
            expect(not good, f"health is good, and using a key raises {type_name(error)}")
        _back(bench.directory / "apart")
        apart.destroy_key(key.reference)


@check(
    110, group=Group.HEALTH, level=Level.CORE, calls=3, keys=1, needs=("check_health", "create_key"), security=True
)
def descriptions_hold_no_secret(bench: Bench, target: Target) -> None:
    """Health, description and the addresses of keys hold no password, and no secret of the settings."""
    key = bench.make(any_algorithm(bench))
    description, health = bench.subject.describe(), _health(bench.subject)
    for uri in filter(None, (description.connection_uri, key.reference.uri)):
        expect(not _password(uri), "an address holds a password")
        expect("pin-value" not in uri, "an address holds a PIN")
    text = f"{description} {health} {key.reference}"
    for secret in bench.source.secrets():
        form = leaked(secret, text) if len(secret) >= SHORTEST else None
        expect(form is None, f"what the backend says of itself holds a secret of its settings, {form}")
    bench.destroy(key)


@check(111, group=Group.HEALTH, level=Level.CORE, calls=8, keys=1, needs=("check_health", "create_key"))
def health_recovers(bench: Bench, target: Target) -> None:
    """When what was missing is there again, health is good again, and the keys work as before."""
    directory = bench.directory / "gone-for-a-while"
    with bench.another(directory=directory) as apart:
        key = bench.make(any_algorithm(bench), subject=apart)
        _away(directory)
        _health(apart)
        _back(directory)
        expect(
            eventually(lambda: _health(apart).status is not _BAD),
            f"health is bad {WINDOW:g} s after what was missing is there again",
        )
        try:
            works(bench, key, apart)
        except KeyclaveError as error:
            raise Violation(f"after health was good again, using a key raised {type_name(error)}") from error
        apart.destroy_key(key.reference)


@check(112, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("detect", "settings_model"))
def detection_only_looks(bench: Bench, target: Target) -> None:
    """Looking for evidence of the platform ends in time, raises nothing, asks no person, and changes nothing."""
    loaded = _loaded(bench)
    if not loaded.detects:
        raise Unsupported("detect", "the plugin's module detects nothing")
    expect(not loaded.detection, f"the detection {loaded.detection}")
    expect(not loaded.detection_effects, f"the detection causes {', '.join(loaded.detection_effects)}")
    expect(not loaded.printed, f"loading or the detection prints {loaded.printed} bytes")


@check(113, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("settings_model",), security=True)
def wrong_settings_are_refused(bench: Bench, target: Target) -> None:
    """The settings model refuses a setting that it does not know, without repeating the value."""
    loaded = _loaded(bench)
    expect(not loaded.settings, f"settings: {loaded.settings}")


@check(114, group=Group.HEALTH, level=Level.CORE, calls=0, optional=("settings_model",), security=True)
def loading_has_no_effect(bench: Bench, target: Target) -> None:
    """Importing the plugin takes little time and only defines: no SDK, no connection, no process, no file."""
    loaded = _loaded(bench)
    expect(not loaded.imported, f"importing the plugin imports {', '.join(loaded.imported)}")
    expect(not loaded.effects, f"importing the plugin causes {', '.join(loaded.effects)}")
    expect(not loaded.threads, f"importing the plugin starts {loaded.threads} threads")
    expect(loaded.seconds <= _LIMITS.other, f"importing the plugin takes {loaded.seconds:.1f} s")


def _health(subject: Subject) -> HealthReport:
    try:
        return subject.check_health()
    except Exception as error:
        raise Violation(f"asking for health raised {type_name(error)}") from error


def _loaded(bench: Bench) -> Loaded:
    if bench.source.module is None:
        raise Unsupported("settings_model", "the backend is an object that no installed plugin made")
    loaded = load(bench.source.module)
    expect(not loaded.failure, f"importing the plugin raised {loaded.failure}")
    return loaded


def _password(uri: str) -> bool:
    try:
        return urlsplit(uri).password is not None
    except ValueError:
        return False


def _away(directory: Path) -> None:
    """Take the data directory away, if the backend has one, as a disk that is unplugged."""
    if directory.exists():
        directory.rename(directory.with_suffix(".away"))


def _back(directory: Path) -> None:
    """Put it back, in place of what the backend may have made meanwhile."""
    away = directory.with_suffix(".away")
    if away.exists():
        if directory.exists():
            shutil.rmtree(directory)
        away.rename(directory)
