"""Ask the plugins where we run, one at a time; what one does wrong is logged, and the others are asked."""

from __future__ import annotations

import logging
from types import MappingProxyType

from msgspec import structs

from keyclave.backends.deadlines import Overdue
from keyclave.backends.failures import describe
from keyclave.backends.modules import PluginModules
from keyclave.backends.report import PluginState
from keyclave.backends.results import WrongResult, checked
from keyclave.plugin.records import DetectionEvidence, Host

__all__ = ["detect"]

_log = logging.getLogger("keyclave.backends")


def detect(modules: PluginModules, host: Host) -> tuple[DetectionEvidence, ...]:
    """Return the evidence of every loaded plugin that has some. Each one gets ``host.timeout`` seconds."""
    loaded = [report.name for report in modules.reports() if report.state is PluginState.LOADED]
    answers = (_ask(modules, name, host) for name in loaded if modules.implements(name, "detect"))
    return tuple(answer for answer in answers if answer is not None)


def _ask(modules: PluginModules, name: str, host: Host) -> DetectionEvidence | None:
    try:
        own = structs.replace(host, environment=MappingProxyType(dict(host.environment)))
        answer = modules.call(name, "detect", host.timeout, own)
        return None if answer is None else checked(answer, DetectionEvidence)
    except KeyboardInterrupt:
        raise
    except Overdue:
        problem = f"no answer within {host.timeout:g} s"
    except WrongResult as error:
        problem = str(error)
    except BaseException as error:  # whatever a plugin lets escape
        problem = f"it raised {describe(error)}"
    _log.warning("plugin %r could not tell where we run: %s", name, problem)
    return None
