"""What an emulator does unlike the service that it stands for: a TOML file of the checks that fail by it.

    [[deviation]]
    checks = ["44-changed-ciphertext-is-refused"]
    subject = "AES_256"                     # a regular expression; optional: every subject
    raises = "succeeded"                    # a regular expression that the reason must match
    emulator = "MiniStack encrypts by XOR, without authentication"
    documented = "Decrypt: InvalidCiphertextException, if the ciphertext is corrupted"

It changes no report: the checks fail there, and the levels that they count for are not earned, as it is for whoever
runs them; the suite's own ledger excuses no security check. The list is strict: no other check may fail, and each
entry must be needed by each of its checks that ran.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.vocabulary import State

__all__ = ["Deviation", "problems", "read_deviations"]


class Deviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deviation; the module says what its fields are."""

    checks: tuple[str, ...]
    raises: str
    emulator: str
    documented: str
    subject: str = ".*"

    def explains(self, case: CaseResult) -> bool:
        """Return whether a failure is of this deviation."""
        return (
            case.id in self.checks
            and re.fullmatch(self.subject, case.subject) is not None
            and re.search(self.raises, case.reason) is not None
        )


def read_deviations(path: Path) -> tuple[Deviation, ...]:
    """Return the entries of a file; ``msgspec.ValidationError`` if one is not as it should be."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return msgspec.convert(content, dict[str, tuple[Deviation, ...]])["deviation"]


def problems(cases: Iterable[CaseResult], deviations: tuple[Deviation, ...]) -> Iterator[str]:
    """Yield a line for each failure that no entry explains, and for each entry that explains none."""
    ran = [case for case in cases if case.state is not State.NOT_RUN]
    failed = [case for case in ran if case.state in {State.FAIL, State.ERROR}]
    for case in failed:
        if case.state is State.ERROR or not any(deviation.explains(case) for deviation in deviations):
            yield f"{case.id} {case.subject}: {case.reason}"
    for deviation in deviations:
        for check in deviation.checks:
            due = any(case.id == check and re.fullmatch(deviation.subject, case.subject) for case in ran)
            if due and not any(case.id == check and deviation.explains(case) for case in failed):
                yield f"{check}: the list says that it fails, and it does not: {deviation.emulator}"
