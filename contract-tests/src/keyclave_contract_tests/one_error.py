"""Refusals that must not differ: whoever sends ciphertexts must not learn from the error what was wrong with one."""

from __future__ import annotations

from collections.abc import Callable

from keyclave.errors import KeyclaveError

from keyclave_contract_tests.violations import expect, refused

__all__ = ["OneError"]


class OneError:
    """Compares every refusal with the first one, by type and text.

    Args:
        kind: the error that is due.
    """

    def __init__(self, kind: type[KeyclaveError]) -> None:
        self._kind = kind
        self._first: tuple[str, str] | None = None

    def expect(self, what: str, call: Callable[[], object]) -> None:
        """Expect that a call, named as the subject of a sentence, is refused like those before it."""
        error = refused(self._kind, what, call)
        text = f"{type(error).__name__}: {error.message}"
        before, due = self._first = self._first or (what, text)
        expect(text == due, f"{what} gives another error than {before}, so the error tells what was wrong")
