"""Which suite, framework, plugin and target a report is about."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata

import cryptography
import hypothesis
from keyclave.plugin import BackendDescription, Location

from keyclave_contract_tests.catalogue import CONTRACT, catalogue_sha256
from keyclave_contract_tests.results import Capability, Framework, Plugin, Suite, Target
from keyclave_contract_tests.vectors import manifest
from keyclave_contract_tests.vocabulary import Evidence

__all__ = ["capabilities_of", "evidence_of", "framework", "plugin_of", "suite", "target_of"]

_GROUP = "keyclave.backends"
_MOST = 50
"""The most statements of a backend about itself that a report keeps."""


def suite() -> Suite:
    """Return this suite."""
    return Suite(
        version=metadata.version("keyclave-contract-tests"),
        contract=CONTRACT,
        catalogue_sha256=catalogue_sha256(),
        vectors_commit=manifest().commit,
    )


def framework() -> Framework:
    """Return what it runs on."""
    return Framework(
        keyclave=metadata.version("keyclave"),
        python=platform.python_version(),
        cryptography=cryptography.__version__,
        hypothesis=hypothesis.__version__,
        platform=f"{platform.system()} {platform.machine()}",
    )


def plugin_of(name: str) -> Plugin:
    """Return the plugin of an entry point; with a hash over its installed files, unless it is installed editable."""
    found = [e for e in metadata.entry_points(group=_GROUP, name=name) if e.dist is not None]
    distribution = found[0].dist if len(found) == 1 else None
    if distribution is None:
        return Plugin(name=name, distribution=None, version=None, sha256=None)
    origin = distribution.read_text("direct_url.json") or ""
    editable = '"editable": true' in origin  # its files are elsewhere, and may change at any time
    record = None if editable else distribution.read_text("RECORD")
    return Plugin(
        name=name,
        distribution=distribution.name,
        version=distribution.version,
        sha256=None if record is None else hashlib.sha256(record.encode()).hexdigest(),
    )


def evidence_of(description: BackendDescription) -> Evidence:
    """Return what the results are worth."""
    if not description.simulator:
        return Evidence.LIVE
    return Evidence.EMULATOR if description.location is Location.REMOTE else Evidence.SIMULATOR


def target_of(description: BackendDescription) -> Target:
    """Return what the plugin is connected to."""
    return Target(
        security_level=description.security_level.value,
        statements=_first(description.evidence),
        evidence=evidence_of(description),
        location=description.location.value,
        connection_uri=description.connection_uri,
    )


def _first(statements: tuple[str, ...]) -> tuple[str, ...]:
    rest = len(statements) - _MOST
    return statements if rest <= 0 else (*statements[:_MOST], f"… ({rest:,} more statements)")


def capabilities_of(description: BackendDescription, *, encrypts: bool) -> tuple[Capability, ...]:
    """Return what the backend says that it can do."""
    return tuple(
        Capability(
            algorithm=support.algorithm,
            schemes=tuple(scheme.scheme for scheme in support.schemes),
            encrypts=encrypts and not support.schemes,
        )
        for support in description.algorithms
    )
