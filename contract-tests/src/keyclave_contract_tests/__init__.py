"""The contract test suite for Keyclave backends: subclass `BackendContract`, or run ``keyclave conform``."""

from keyclave_contract_tests.adapter import BackendContract

__all__ = ["BackendContract"]
