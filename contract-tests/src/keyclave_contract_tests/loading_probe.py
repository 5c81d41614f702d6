"""The other side of `keyclave_contract_tests.loading`: run as ``python -m keyclave_contract_tests.loading_probe``."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import keyclave.errors
import keyclave.plugin
import msgspec
import pydantic
from keyclave.plugin import DetectionEvidence, Host

from keyclave_contract_tests.leaks import leaked

__all__ = ["CANARY", "SECONDS", "Loaded", "Request"]

CANARY = "value-of-no-known-setting"
SECONDS = 1.0
"""How long a detection may take."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_WATCHED = frozenset(
    {
        "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
        "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn",
        "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.putenv", "os.unsetenv", "os.chdir",
        "builtins.input",
    }
)  # fmt: skip


class Request(msgspec.Struct, frozen=True):
    """What to load.

    Attributes:
        module: what an entry point names.
        path: where modules are found.
        root: an empty directory; the answer is written there.
    """

    module: str
    path: list[str]
    root: str


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        failure: the exception that the import raised; empty for none.
        seconds: how long the import took.
        imported: packages of others that it imported, beside Keyclave, pydantic and what these need.
        effects: what it did besides: events of Python's audit.
        threads: how many threads it started.
        printed: how many bytes were printed, by it and by its hooks.
        detects: whether it has a detection.
        detection: what is wrong with that; empty for nothing.
        detection_effects: what that did.
        settings: what is wrong with its settings model; empty for nothing.
    """

    failure: str = ""
    seconds: float = 0.0
    imported: list[str] = []
    effects: list[str] = []
    threads: int = 0
    printed: int = 0
    detects: bool = False
    detection: str = ""
    detection_effects: list[str] = []
    settings: str = ""


class _Witness:
    """Remembers events of the audit while it is told to."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[str] = []
        sys.addaudithook(self._on_event)

    def during(self, work: Callable[[], Any]) -> tuple[Any, list[str]]:
        """Return what ``work`` returned, or the exception that it raised, and what happened meanwhile."""
        self.seen, self.watching = [], True
        try:
            result = work()
        except BaseException as error:  # whatever a module lets escape
            result = error
        finally:
            self.watching = False
        return result, sorted(set(self.seen))

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and (event in _WATCHED or (event == "open" and _writes(arguments))):
            self.seen.append(event)


def main() -> None:
    """Load what standard input names, and write the answer into its directory."""
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    sys.path[:] = request.path
    _warm_up()
    loaded = _looked_at(request)
    Path(request.root, "answer").write_bytes(msgspec.json.encode(loaded))
    os._exit(0)


def _looked_at(request: Request) -> Loaded:
    witness = _Witness()
    before, threads = set(sys.modules), threading.active_count()
    started = time.perf_counter()
    module, effects = witness.during(lambda: _resolved(request.module))
    seconds = time.perf_counter() - started
    imported = _foreign(request.module, set(sys.modules) - before)
    started_threads = threading.active_count() - threads
    if isinstance(module, BaseException):
        return Loaded(failure=type(module).__name__, seconds=seconds, imported=imported, effects=effects)
    host = Host(environment={}, root=Path(request.root, "host"), timeout=SECONDS)
    Path(request.root, "host").mkdir()
    detects = hasattr(module, "detect")
    detection, detection_effects = witness.during(lambda: _detection_problem(module, host) if detects else "")
    return Loaded(
        seconds=seconds,
        imported=imported,
        effects=effects,
        threads=started_threads,
        detects=detects,
        detection=_told(detection),
        detection_effects=[e for e in detection_effects if not e.startswith("socket.")],
        settings=_told(witness.during(lambda: _settings_problem(module))[0]),
    )


def _resolved(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return found


def _detection_problem(module: Any, host: Host) -> str:
    started = time.perf_counter()
    answers = [module.detect(host=host) for _ in range(2)]
    seconds = time.perf_counter() - started
    if seconds > 2 * SECONDS:
        return f"takes {seconds / 2:.1f} s, where it may take {SECONDS:g} s"
    if any(type(answer) not in {DetectionEvidence, type(None)} for answer in answers):
        return "returns something else than evidence or None"
    if any(answer and not (0 <= answer.confidence <= 1 and answer.observations) for answer in answers):
        return "returns evidence without observations, or with a confidence that is none"
    return ""


def _settings_problem(module: Any) -> str:
    model = module.settings_model()
    if not (isinstance(model, type) and issubclass(model, pydantic.BaseModel)):
        return "the settings model is no pydantic model"
    if model is not module.settings_model():
        return "the settings model is another class each time"
    unknown = {"no_such_setting_of_any_backend": CANARY}
    try:
        model.model_validate(unknown)
    except (pydantic.ValidationError, keyclave.errors.KeyclaveError) as error:
        return f"an unknown setting is refused with its value, {form}" if (form := _shown(error)) else ""
    return "an unknown setting is taken"


def _shown(error: Exception) -> str | None:
    """Return in which form an error shows the value of a setting, other than as Keyclave would not show it."""
    if isinstance(error, pydantic.ValidationError):
        text = str(error.errors(include_input=False, include_url=False))
    else:
        text = str(error)
    return leaked(CANARY.encode(), text)


def _told(outcome: Any) -> str:
    return f"raises {type(outcome).__name__}" if isinstance(outcome, BaseException) else str(outcome)


def _foreign(module: str, new: set[str]) -> list[str]:
    """Return the packages among new modules that are neither of Python, nor of the plugin's distribution."""
    own = module.partition(":")[0].partition(".")[0]
    distributions = packages_distributions()
    mine = set(distributions.get(own, ()))
    tops = {name.partition(".")[0] for name in new} - {own, "keyclave"} - sys.stdlib_module_names
    foreign = {top for top in tops if distributions.get(top) and not mine & set(distributions[top])}
    return sorted(foreign)


def _warm_up() -> None:
    """Import what every plugin may use, with all that pydantic imports late."""

    class Model(pydantic.BaseModel, extra="forbid"):
        path: Path | None = None
        secret: pydantic.SecretStr | None = None

    Model.model_validate({})
    packages_distributions()


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = (*arguments, None, None, None)[:3]
    return bool(isinstance(flags, int) and flags & _WRITES) or bool(isinstance(mode, str) and set(mode) & set("wax+"))


if __name__ == "__main__":
    main()
