"""Other handles and other processes: open one, let one do an errand, and take its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from keyclave.errors import KeyclaveError

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.children import Child, Work
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.undisturbed import undisturbed
from keyclave_contract_tests.violations import Violation, type_name

__all__ = ["answer_of", "done_elsewhere", "second_handle"]


@contextmanager
def second_handle(bench: Bench) -> Iterator[Subject]:
    """Open the backend while it is open already, and close this handle at the end.

    Raises:
        Violation: it cannot be opened twice.
    """
    with ExitStack() as stack:
        yield undisturbed("opening a second handle", lambda: stack.enter_context(bench.another()))


def done_elsewhere(bench: Bench, errand: Work, *arguments: object) -> Any:
    """Return what an errand returned that another process did.

    Raises:
        Violation: the backend refused it there, or the process ended without an answer.
    """
    with bench.child(errand, *arguments) as child:
        child.go()
        return answer_of(child)


def answer_of(child: Child) -> Any:
    """Return what a process returned that was told to go.

    Raises:
        Violation: see `done_elsewhere`.
    """
    answer = child.result()
    if isinstance(answer, KeyclaveError):
        raise Violation(f"in another process, the backend raised {type_name(answer)}") from answer
    if isinstance(answer, BaseException):
        raise answer
    return answer
