"""The other side of `keyclave_contract_tests.plugin_looks`, run with ``python -m``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint, packages_distributions
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from keyclave.backends.catalog import GROUP
from keyclave.backends.failures import describe
from keyclave.backends.manager import BackendManager
from keyclave.backends.registration import new_manager, register
from keyclave.backends.results import WrongResult, checked
from keyclave.errors import PluginLoadError
from keyclave.plugin import Detection, DetectionEvidence, Host, Provider
from pydantic import BaseModel

from keyclave_contract_tests.plugin_looks import CANARIES, Request, Seen
from keyclave_contract_tests.watching import Watch

_LOADED_ANYWAY = (BackendManager, BaseModel)
"""Whose modules every process has that opens a backend."""
_TIMEOUT = 1.0
_SLACK = 2.0


def main() -> None:
    """Look at the plugin as the request asks, answer, and end the process at once."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answer = os.dup(1)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        seen = _look(request)
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fstat(printed.fileno()).st_size:
            seen = msgspec.structs.replace(seen, noise=(*seen.noise, "prints"))
    os.write(answer, msgspec.json.encode(seen))
    os._exit(0)


def _look(request: Request) -> Seen:
    watch, before, modules = Watch(), _state(), set(sys.modules)
    manager = new_manager(Provider, Detection)
    try:
        with watch.on():
            module = EntryPoint(request.plugin, request.entry_point, GROUP).load()
            register(manager, module, request.plugin, required=("settings_model", "open_backend"))
            models = [manager.hook.settings_model() for _ in range(2)]
    except PluginLoadError as error:
        return Seen(failure=error.message)
    except BaseException as error:  # an import may raise anything
        return Seen(failure=f"raised {describe(error)}")
    if not request.detects or not manager.hook.detect.get_hookimpls():
        noise = (*watch.heard, *_changes(before), *_foreign(request, modules))
        return Seen(noise=noise, wrong=tuple(_model_problems(*models)))
    watch.heard.clear()
    modules = set(sys.modules)
    found = tuple(dict.fromkeys(_detected(manager, watch, request)))
    return Seen(detects=True, noise=(*watch.heard, *_foreign(request, modules)), wrong=found)


def _state() -> dict[str, Any]:
    """Return what belongs to the process as a whole."""
    return {
        "which threads run": threading.enumerate(),
        "the environment variables": dict(os.environ),
        "the working directory": Path.cwd(),
        "where modules are found": list(sys.path),
        "how signals are handled": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "how exceptions are shown": sys.excepthook,
        "how is logged": (logging.root.level, list(logging.root.handlers)),
    }


def _changes(before: dict[str, Any]) -> Iterator[str]:
    after = _state()
    return (f"changes {what}" for what in before if before[what] != after[what])


def _foreign(request: Request, before: set[str]) -> Iterator[str]:
    """Return that packages were imported that are neither the plugin's nor Keyclave's nor Python's."""
    known = {name.partition(".")[0] for name in before} | set(sys.stdlib_module_names)
    distributions = packages_distributions()
    own = request.entry_point.partition(":")[0].partition(".")[0]
    new = sorted({name.partition(".")[0] for name in sys.modules} - known - {own})
    makers = {top: set(distributions.get(top, ())) for top in new}
    foreign = [top for top in new if makers[top] and not makers[top] & set(distributions.get(own, ()))]
    if foreign:
        yield f"imports {', '.join(foreign)}"


def _model_problems(first: Any, second: Any) -> Iterator[str]:
    if not (isinstance(first, type) and issubclass(first, BaseModel)):
        yield "its settings_model returned no pydantic model"
        return
    if first is not second:
        yield "its settings_model returned another class the second time"
    if first.model_config.get("extra") != "forbid":
        yield "its settings take names that they do not know"


def _detected(manager: Any, watch: Watch, request: Request) -> Iterator[str]:
    """Ask twice on a machine that shows nothing, without the network, and twice on this one, with it.

    Return what is wrong with the answers.
    """
    with tempfile.TemporaryDirectory() as empty:
        hosts = (
            Host(environment=MappingProxyType({}), root=Path(empty), timeout=_TIMEOUT),
            Host(
                environment=MappingProxyType({**os.environ, **CANARIES}),
                root=Path("/"),
                timeout=_TIMEOUT,
                network=True,
            ),
        )
        for host in hosts:
            answers = []
            for _ in range(2):
                started = time.perf_counter()
                try:
                    with watch.on(probes=host.network):
                        answers.append(manager.hook.detect(host=host))
                except BaseException as error:  # whatever a plugin lets escape
                    watch.heard[f"raises {describe(error)}"] = None
                if time.perf_counter() - started > _TIMEOUT * _SLACK:
                    watch.heard["takes longer than it may"] = None
                    return
            if len(answers) == 2 and answers[0] != answers[1]:  # noqa: PLR2004  it was asked twice
                yield "gives two answers about one machine"
            for evidence in (each for answer in answers for each in answer):
                yield from _evidence_problems(evidence, request.plugin)


def _evidence_problems(answer: object, plugin: str) -> Iterator[str]:
    try:
        evidence = checked(answer, DetectionEvidence)
    except WrongResult as error:
        yield f"gives an answer that is none: {error}"
        return
    if not 0 <= evidence.confidence <= 1:
        yield "is sure to a degree that is not between 0 and 1"
    if not evidence.platform.strip() or not any(each.strip() for each in evidence.observations):
        yield "does not say what it saw"
    if evidence.backend_type not in {None, plugin}:
        yield "names another plugin"
    text = " ".join((evidence.platform, *evidence.observations))
    if any(secret in text for secret in CANARIES.values()):
        yield "repeats the value of an environment variable that holds a secret"


if __name__ == "__main__":
    main()
