"""What a backend says of its hardware is shown, and what it says of one key fits what it says of itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from keyclave.models import SecurityLevel

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.violations import Unsupported, expect
from keyclave_contract_tests.vocabulary import Group, Level

_NONCE_SIZES = (16, 64)
_HASHES = ("sha256", "sha384", "sha512")


@check(
    122, group=Group.KEYS, level=Level.HARDWARE, per=Per.ALGORITHM, calls=4, keys=2,
    needs=("create_key",), optional=("create_key", "describe"), security=True,
)  # fmt: skip
def hardware_is_shown(bench: Bench, target: Target) -> None:
    """A level above SOFTWARE rests on evidence, and keys are said to be in an HSM, with evidence, exactly in one."""
    key = bench.make(target.name)
    made = bench.subject.create_key(key.reference.label, target.name)
    bench.destroy(key)
    described = bench.subject.describe()
    level, no = described.security_level, "" if made.hsm_backed else "not "
    expect(
        made.hsm_backed is (level is SecurityLevel.HSM), f"a key is {no}said to be in an HSM, at level {level.value}"
    )
    if level is not SecurityLevel.SOFTWARE:
        _rests_on(described.evidence, f"the level {level.value}")
    if made.hsm_backed:
        _rests_on(made.evidence, "that a key is in an HSM")
    _require_hardware(bench)


@check(
    123, group=Group.KEYS, level=Level.HARDWARE, per=Per.ALGORITHM, calls=5,
    needs=("attest_key",), optional=("attest_key", "describe"), security=True,
)  # fmt: skip
def attestation_is_bound_to_the_nonce(bench: Bench, target: Target) -> None:
    """What attests a key holds the nonce that was asked with, or its digest, and the nonce of no other call."""
    key = bench.key(target.name)
    earlier: list[bytes] = []
    for size in (*_NONCE_SIZES, *_NONCE_SIZES):
        nonce = bench.random.randbytes(size)
        attested = bench.subject.attest_key(key.reference, nonce)
        expect(attested.format.strip(), "the statement about a key has a format without a name")
        expect(
            _holds(attested.statement, nonce), f"the statement about a key does not hold its nonce of {size} bytes"
        )
        old = any(_holds(attested.statement, each) for each in earlier)
        expect(not old, "the statement about a key holds the nonce of an earlier call, too")
        earlier.append(nonce)
    _require_hardware(bench)


def _require_hardware(bench: Bench) -> None:
    """End the check as unsupported where there is no hardware that could have shown anything."""
    described = bench.subject.describe()
    if described.security_level is SecurityLevel.SOFTWARE:
        raise Unsupported("describe", "the backend shows no hardware: its level is SOFTWARE")
    if described.simulator:
        raise Unsupported("describe", f"the backend is a simulator that stands for {described.security_level.value}")


def _rests_on(evidence: Sequence[str], what: str) -> None:
    expect(evidence and all(sentence.strip() for sentence in evidence), f"{what} rests on no evidence")


def _holds(statement: bytes, nonce: bytes) -> bool:
    """Return whether a statement holds the whole of a nonce or of its digest, in binary or written as text."""
    for wanted in (nonce, *(hashlib.new(name, nonce).digest() for name in _HASHES)):
        texts = (base64.b64encode(wanted).rstrip(b"="), base64.urlsafe_b64encode(wanted).rstrip(b"="))
        if wanted in statement or wanted.hex().encode() in statement.lower() or any(t in statement for t in texts):
            return True
    return False
