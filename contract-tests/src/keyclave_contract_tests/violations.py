"""How a check says what it found, and the one way to expect a refusal."""

from __future__ import annotations

from collections.abc import Callable

from keyclave.errors import KeyclaveError

__all__ = ["OutOfBudget", "Unsupported", "Violation", "expect", "refused", "type_name"]


class Violation(AssertionError):
    """The backend broke the property. The message says what it did, in one sentence and without secrets."""


class Unsupported(Exception):
    """The backend answered ``CapabilityUnsupported``, and nothing changed.

    Attributes:
        hook: the hook that was called.
    """

    def __init__(self, hook: str, message: str) -> None:
        super().__init__(f"{hook}: {message}")
        self.hook = hook


class OutOfBudget(BaseException):
    """No more calls or keys may be spent."""


def expect(condition: object, message: str) -> None:
    """Raise a `Violation` unless the condition holds."""
    if not condition:
        raise Violation(message)


def refused(
    kind: type[KeyclaveError] | tuple[type[KeyclaveError], ...], what: str, call: Callable[[], object]
) -> KeyclaveError:
    """Return the error that a call was refused with.

    Args:
        kind: the errors that are right.
        what: the call, as the subject of a sentence: "signing with a destroyed key".
        call: makes the call.

    Raises:
        Violation: it succeeded, or raised something else.
    """
    try:
        call()
    except kind as error:
        return error
    except Exception as error:
        raise Violation(f"{what} raised {type_name(error)}, where {_names(kind)} is due") from error
    raise Violation(f"{what} succeeded, where {_names(kind)} is due")


def type_name(error: BaseException) -> str:
    """Return the name of the type of an error, with the text only where it is Keyclave's own."""
    return f"{type(error).__name__} ({error})" if isinstance(error, KeyclaveError) else type(error).__name__


def _names(kind: type[KeyclaveError] | tuple[type[KeyclaveError], ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(k.__name__ for k in kinds)
