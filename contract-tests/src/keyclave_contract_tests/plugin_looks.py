"""Look at the module of a plugin in a process of its own, that nothing else has used."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import msgspec
from keyclave.plugin import Record

from keyclave_contract_tests.sources import Source
from keyclave_contract_tests.violations import Unsupported, Violation
from keyclave_contract_tests.watching import PROXY

__all__ = ["CANARIES", "Request", "Seen", "look"]

CANARIES = {
    name: f"{name.lower()}-that-nobody-may-see"
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AZURE_CLIENT_SECRET",
        "GOOGLE_OAUTH_ACCESS_TOKEN",
        "VAULT_TOKEN",
        "HSM_PIN",
    )
}
"""Environment variables that hold secrets, with values that are none."""
_SECONDS = 60


class Request(Record, frozen=True, kw_only=True):
    """What to look at.

    Attributes:
        plugin: the name of the plugin.
        entry_point: what its entry point names.
        detects: whether to ask it where it runs.
    """

    plugin: str
    entry_point: str
    detects: bool


class Seen(Record, frozen=True, kw_only=True):
    """What was seen, each thing as what follows "it".

    Attributes:
        failure: why the plugin could not be loaded; empty if it could.
        detects: whether it was asked where it runs.
        noise: what it did beside what it was asked for.
        wrong: what is wrong with its answers.
    """

    failure: str = ""
    detects: bool = False
    noise: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def look(source: Source, *, detects: bool) -> Seen:
    """Return what was seen of the plugin.

    Raises:
        Unsupported: the backend comes from no plugin, or the plugin does not detect.
        Violation: the process ended without an answer, or did not end.
    """
    if source.entry_point is None:
        raise Unsupported("open_backend", "the backend is an object that no plugin opened")
    seen = _seen(Request(plugin=source.plugin, entry_point=source.entry_point, detects=detects))
    if seen.failure:
        raise Violation(f"the plugin, imported in a new process, {seen.failure}")
    if detects and not seen.detects:
        raise Unsupported("detect", "the plugin does not detect where it runs")
    return seen


def _seen(request: Request) -> Seen:
    proxy = "http://{}:{}".format(*PROXY)
    names = ("http_proxy", "https_proxy", "all_proxy")
    # A file, not a pipe: a process that the plugin starts and leaves alone would keep us waiting for its end.
    with tempfile.TemporaryFile() as answer:
        try:
            subprocess.run(
                [sys.executable, "-B", "-m", "keyclave_contract_tests.plugin_child"],
                input=msgspec.json.encode(request),
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    **{spelled: proxy for name in names for spelled in (name, name.upper())},
                    "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                },
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Violation(f"looking at the plugin did not end within {_SECONDS} s") from None
        answer.seek(0)
        content = answer.read()
    if not content:
        raise Violation("importing the plugin ended the process")
    return msgspec.json.decode(content, type=Seen)
