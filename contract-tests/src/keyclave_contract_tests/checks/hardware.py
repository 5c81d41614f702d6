"""What a backend claims of hardware, it can show."""

from __future__ import annotations

import secrets
from functools import partial

from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyNotFound
from keyclave.models import SecurityLevel
from keyclave.plugin import Attestation, KeyReference

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.uses import any_algorithm
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level

_NONCE = 32
_WRONG_NONCES = (0, 15, 65)
"""Lengths on both sides of 16 to 64 bytes."""


@check(
    122,
    group=Group.HEALTH,
    level=Level.HARDWARE,
    calls=3,
    keys=1,
    needs=("create_key", "describe"),
    optional=("describe",),
    security=True,
)
def hardware_is_shown(bench: Bench, target: Target) -> None:
    """A level above SOFTWARE rests on evidence, and keys are said to be in an HSM there and nowhere else."""
    description = bench.subject.describe()
    level = description.security_level
    label = bench.label()
    made = bench.subject.create_key(label, any_algorithm(bench))
    bench.subject.destroy_key(made.reference)
    expect(made.evidence or not made.hsm_backed, "a key is said to be in an HSM, without evidence")
    if level is SecurityLevel.SOFTWARE:
        expect(not made.hsm_backed, "a key is said to be in an HSM, by a backend of level SOFTWARE")
        raise Unsupported("describe", "the backend shows the level SOFTWARE")
    expect(any(map(str.strip, description.evidence)), f"the level {level.value} has no evidence")
    if description.simulator:
        raise Unsupported("describe", "a simulator shows nothing about hardware")
    if level is SecurityLevel.HSM:
        expect(made.hsm_backed, "the level is HSM, and a key that it made is not said to be in one")


@check(
    123,
    group=Group.HEALTH,
    level=Level.HARDWARE,
    calls=9,
    keys=1,
    needs=("attest_key",),
    optional=("attest_key",),
    security=True,
)
def attestation_is_bound_to_the_nonce(bench: Bench, target: Target) -> None:
    """An attestation is made for the nonce and the key that it was asked for, and for no key that is not there."""
    key, other = (bench.key(any_algorithm(bench)), bench.make(any_algorithm(bench)))
    first, second = secrets.token_bytes(_NONCE), secrets.token_bytes(_NONCE)
    statement = _attested(bench, key.reference, first).statement
    expect(statement, "an attestation is empty")
    expect(statement != _attested(bench, key.reference, second).statement, "two nonces have one attestation")
    expect(statement != _attested(bench, other.reference, first).statement, "two keys have one attestation")
    for length in _WRONG_NONCES:
        attest = partial(bench.subject.attest_key, key.reference, bytes(length))
        refused(InvalidArgument, f"attesting with a nonce of {length} bytes", attest)
    bench.destroy(other)
    gone = partial(bench.subject.attest_key, other.reference, first)
    refused(KeyNotFound, "attesting a destroyed key", gone)


def _attested(bench: Bench, key: KeyReference, nonce: bytes) -> Attestation:
    try:
        return bench.subject.attest_key(key, nonce)
    except CapabilityUnsupported as error:
        raise Unsupported("attest_key", error.message) from None
