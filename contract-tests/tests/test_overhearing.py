"""Whatever comes out of a backend is collected, and logging is left as it was."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest
from keyclave_contract_tests.overhearing import Watch, watching

NAME = "keyclave.contract.test"


def _seen(watch: Watch) -> str:
    return repr(watch.seen)


def test_logs_are_seen_with_arguments_extras_and_exceptions() -> None:
    logger = logging.getLogger(NAME)
    logger.propagate = False
    try:
        with watching() as watch:
            logger.debug("%s", "argument-1", extra={"blob": "extra-2"})
            try:
                raise ValueError("cause-3")  # noqa: TRY301
            except ValueError:
                logger.exception("failed")
        assert logger.propagate is False
    finally:
        logger.propagate = True
    assert all(text in _seen(watch) for text in ("argument-1", "extra-2", "cause-3"))
    assert watch not in logging.root.handlers


def test_warnings_and_prints_are_seen() -> None:
    with watching() as watch:
        warnings.warn("warning-1", stacklevel=1)
        print("print-2")  # noqa: T201
    assert "warning-1" in repr(watch.seen["a warning"])
    assert "print-2" in repr(watch.seen["what was printed"])


def test_what_hangs_on_a_warning_is_seen() -> None:
    warning = UserWarning("said-1", "argument-2")
    warning.add_note("note-3")
    with watching() as watch:
        warnings.warn(warning, stacklevel=1)
    assert all(text in repr(watch.seen["a warning"]) for text in ("said-1", "argument-2", "note-3"))


def test_what_is_printed_past_python_is_seen_until_the_end_of_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    with watching() as watch:
        os.write(1, b"printed-1")
        os.write(2, b"printed-2")
    os.write(1, b"printed-3")
    assert all(text in repr(watch.seen["what was printed"]) for text in ("printed-1", "printed-2"))
    assert capfd.readouterr() == ("printed-3", "")


def test_what_other_programs_are_told_is_seen_until_the_end_of_the_block() -> None:
    program = [sys.executable, "-c", ""]
    with watching() as watch:
        subprocess.run([*program, "argument-1"], check=True)
        subprocess.run(program, check=True, env={"NAME": "variable-2"})
        os.environ["KEYCLAVE_OVERHEARD"] = "variable-3"
        del os.environ["KEYCLAVE_OVERHEARD"]
    subprocess.run([*program, "argument-4"], check=True)
    told = repr(watch.seen["what is told to a program"])
    assert "argument-1" in told
    assert "variable-2" in told
    assert "variable-3" in repr(watch.seen["the environment"])
    assert "argument-4" not in _seen(watch)


def test_errors_are_seen_with_what_they_came_from_and_with_local_variables() -> None:
    def fail() -> None:
        local = "local-1"
        try:
            dict[str, str]()[f"context-2 of {local}"]
        except KeyError:
            raise ValueError("outer-3")  # noqa: B904  its context is what is looked for

    with watching() as watch:
        assert watch.told(fail) is None
    assert "local-1" in repr(watch.seen["a local variable of a traceback"])
    assert all(text in repr(watch.seen["an error"]) for text in ("context-2", "outer-3"))


def test_objects_are_seen_with_their_attributes_and_as_they_are_pickled() -> None:
    watch = Watch()
    watch.shown("an object", logging.makeLogRecord({"msg": "inside-1"}))
    assert "inside-1" in repr(watch.seen["the attributes of an object"])
    assert "inside-1" in repr(watch.seen["the pickle of an object"])
    assert "inside-1" not in repr(watch.seen.get("a result"))
