"""Whether a plugin was made for a contract version that this keyclave works with: the rule is one of equality."""

from __future__ import annotations

import re

from keyclave import __version__
from keyclave.plugin.contract import CONTRACTS

__all__ = ["contract_problem"]

_FORM = re.compile(r"[0-9]{4}\.(0[1-9]|1[0-2])")


def contract_problem(declared: str) -> str | None:
    """Return why a plugin that was made for this contract version cannot be used, or ``None`` if it can.

    >>> contract_problem("2031.01").partition(", and")[0]
    'it was made for contract 2031.01'
    >>> contract_problem(CONTRACTS[-1])
    """
    if declared in CONTRACTS:
        return None
    works_with = f"keyclave {__version__} works with {' and '.join(CONTRACTS)}"
    if not _FORM.fullmatch(declared):  # a plugin's text, and not of a form that can be shown
        return f"the contract that it was made for is not of the form YYYY.MM, and {works_with}"
    return f"it was made for contract {declared}, and {works_with}"
