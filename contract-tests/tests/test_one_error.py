"""Refusals that differ are told apart."""

from __future__ import annotations

import pytest
from keyclave.errors import DecryptionFailed, InvalidArgument, KeyclaveError
from keyclave_contract_tests.one_error import OneError
from keyclave_contract_tests.violations import Violation


def raising(error: KeyclaveError) -> None:
    raise error


def test_equal_refusals_pass_whatever_the_context() -> None:
    due = OneError(DecryptionFailed)
    due.expect("the first", lambda: raising(DecryptionFailed("no")))
    due.expect("the second", lambda: raising(DecryptionFailed("no", key_name="k")))


def test_another_text_is_found() -> None:
    due = OneError(DecryptionFailed)
    due.expect("the first", lambda: raising(DecryptionFailed("no")))
    with pytest.raises(Violation, match="the second gives another error than the first"):
        due.expect("the second", lambda: raising(DecryptionFailed("bad padding")))


def test_another_type_is_found() -> None:
    with pytest.raises(Violation, match=r"the first raised InvalidArgument \(no\), where DecryptionFailed is due"):
        OneError(DecryptionFailed).expect("the first", lambda: raising(InvalidArgument("no")))
