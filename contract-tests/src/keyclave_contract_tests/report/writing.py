"""Write a report in all its forms into a directory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keyclave.errors import ConfigurationError
from keyclave.plugin.files import remove_private, replace_private

from keyclave_contract_tests.report.badge import badge
from keyclave_contract_tests.report.document import encode, leftovers
from keyclave_contract_tests.report.junit import junit
from keyclave_contract_tests.report.page import page
from keyclave_contract_tests.report.text import bounded
from keyclave_contract_tests.results import Report

__all__ = ["prepare", "write"]


def prepare(directory: Path) -> None:
    """Make the directory of a report, and see that it can be written to, before a run is spent on it.

    Raises:
        ConfigurationError: it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return
    except OSError as error:
        reason = error.strerror
    raise _unwritable(directory, reason)


def write(report: Report, directory: Path) -> tuple[Path, ...]:
    """Write JSON, JUnit, page and badge, each complete or not at all, and return their paths, the JSON first.

    Where keys of the run are still in the backend, ``leftovers.json`` names them. All files are made before the
    first is written. Those of an earlier run are replaced. They are of mode 0600.

    Args:
        report: what to write.
        directory: made if it is missing.

    Raises:
        ConfigurationError: the directory cannot be written to.
    """
    kept = bounded(report)
    contents = {
        "contract-report.json": encode(kept),
        "contract-report.xml": junit(kept),
        "contract-report.html": page(kept).encode(),
        "contract-badge.svg": badge(kept).encode(),
    }
    if kept.leftovers or kept.scheduled:
        contents["leftovers.json"] = leftovers(kept)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_private(directory / "leftovers.json")
        for name, content in contents.items():
            replace_private(directory / name, content)
    except OSError as error:
        reason = error.strerror
    else:
        return tuple(directory / name for name in contents)
    raise _unwritable(directory, reason)


def _unwritable(directory: Path, reason: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"the report cannot be written to {directory}: {reason}",
        next_step="Name a directory that this process can write to.",
    )
