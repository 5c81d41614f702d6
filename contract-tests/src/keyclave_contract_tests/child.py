"""The other side of `keyclave_contract_tests.children`: run as ``python -m keyclave_contract_tests.child``."""

from __future__ import annotations

import os
import pickle
import sys

from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.children import GO, READY
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.subject import Subject


def main() -> None:
    """Open the backend, say so, wait for the word, work, and answer."""
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    source, context, work, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301  our own parent
    subject = Subject(source.open(context), Meter(BUDGETS["deep"]), None)
    output.write(READY)
    if sys.stdin.buffer.read(1) != GO:
        return
    try:
        answer: object = work(subject, *arguments)
    except Exception as error:
        answer = error
    output.write(pickle.dumps(answer))
    subject.close()


if __name__ == "__main__":
    main()
