"""PKCS#11 modules that p11-kit knows. They are listed, never loaded: loading one runs its code in this process.

Source: pkcs11.conf(5). A module that is registered need not have a token, and modules without hardware register
themselves when they are installed. So this evidence is weak unless a variable names one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keyclave.detectors.evidence import VARIABLE, Sign, evidence
from keyclave.detectors.files import names, text
from keyclave.models.levels import EnvironmentType
from keyclave.plugin import DetectionEvidence, Host, hookimpl

__all__ = ["detect"]

_DIRECTORIES = ("etc/pkcs11/modules", "usr/share/p11-kit/modules")
_VARIABLES = ("PKCS11_MODULE", "PKCS11_PROVIDER")
_REGISTERED = 0.3


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    """Return which PKCS#11 modules there are."""
    return evidence("pkcs11", "pkcs11-hsm", EnvironmentType.LOCAL, _signs(host))


def _signs(host: Host) -> Iterator[Sign]:
    for name in _VARIABLES:
        if host.environment.get(name):
            yield Sign(f"{name} is set", VARIABLE)
    for directory in _DIRECTORIES:
        for name in names(host.root / directory, ".module"):
            file = Path(directory) / name
            if not _has_no_keys(text(host, str(file))):
                yield Sign(f"p11-kit knows a module by /{file}", _REGISTERED)


def _has_no_keys(configuration: str) -> bool:
    """Return whether a module holds certificates that are trusted, and nothing else."""
    lines = ("".join(line.split()) for line in configuration.splitlines())
    return "trust-policy:yes" in lines
