"""The pytest plugin: collects the checks for every subclass of `BackendContract`.

Little is imported here: pytest loads this module in every project that has the distribution installed.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from keyclave_contract_tests.adapter import BackendContract

__all__ = ["pytest_addoption", "pytest_pycollect_makeitem"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--contract-report DIR``."""
    parser.getgroup("keyclave").addoption(
        "--contract-report",
        metavar="DIR",
        type=Path,
        help="Write the contract report of every backend into a directory of its name below DIR.",
    )


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Collector | None:
    """Collect a subclass of `BackendContract`, whatever its name is."""
    if not (inspect.isclass(obj) and issubclass(obj, BackendContract) and obj is not BackendContract):
        return None
    from keyclave_contract_tests.collection import ContractCollector  # noqa: PLC0415  as the module says

    return ContractCollector.from_parent(collector, name=name, contract=obj)
