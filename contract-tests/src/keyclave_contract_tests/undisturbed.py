"""Calls that work when nothing else goes on, made while something does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from keyclave.errors import KeyclaveError

from keyclave_contract_tests.violations import Violation, type_name

__all__ = ["undisturbed"]

T = TypeVar("T")


def undisturbed(what: str, call: Callable[[], T]) -> T:
    """Return what a call returns; ``what`` names it, and what goes on, as the subject of a sentence.

    Raises:
        Violation: the call was refused.
    """
    try:
        return call()
    except KeyclaveError as error:
        raise Violation(f"{what} raised {type_name(error)}") from error
