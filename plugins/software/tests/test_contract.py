"""The software backend keeps the contract."""

from __future__ import annotations

from keyclave_contract_tests import BackendContract


class TestSoftware(BackendContract):
    plugin = "software"
