"""The nonces of ECDSA signatures are used once and are random in every bit: all else gives the private key away."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.evidence import largest_lean, suspicious_count
from keyclave_contract_tests.importing import imported
from keyclave_contract_tests.nonces import bits_set, nonce_of
from keyclave_contract_tests.originals import original
from keyclave_contract_tests.violations import Unsupported, Violation, expect
from keyclave_contract_tests.vocabulary import Group, Level

_EC = ("ECDSA_P256", "ECDSA_P384")
_MOST = 1000


@check(36, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, only=_EC, calls=30, needs=("sign",), security=True)
def nonce_is_used_once(bench: Bench, target: Target) -> None:
    """No two messages are signed with one ECDSA nonce, which would give the key away."""
    key, scheme = bench.key(target.name), bench.scheme(target.name)
    numbers = range(max(2, bench.budget.repeats // 4))
    seen = [decode_dss_signature(bench.sign(key, f"nonce {n}".encode(), scheme))[0] for n in numbers]
    expect(len(set(seen)) == len(seen), "two messages were signed with the same nonce")


@check(
    124, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, only=_EC, calls=62, keys=1,
    needs=("sign",), optional=("begin_import",), security=True,
)  # fmt: skip
def nonce_is_random_in_every_bit(bench: Bench, target: Target) -> None:
    """Each bit of an ECDSA nonce is set as often as not, as far as a known key can be imported to see it."""
    total = max(1, min(bench.budget.repeats // 2, _MOST))
    private: ec.EllipticCurvePrivateKey = original(target.name)
    bits = private.curve.group_order.bit_length()
    limit = suspicious_count(total, bits)
    if limit is None:
        bench.bound(f"Whether nonces of {target.name} are biased was not checked: {total} are too few to show it.")
    for place, ones in enumerate(bits_set(_nonces(bench, target.name, private, total), bits)):
        found = max(ones, total - ones)
        expect(limit is None or found < limit, f"bit {place} of {bits} has one value in {found} of {total} nonces")
    if limit is not None:
        bench.bound(
            f"A bit of the nonces of {target.name} can have one value in {largest_lean(total, limit)} % of signatures"
            f" (95 %), or depend on other bits: each bit of {total:,} nonces was looked at by itself, in a way that"
            " suspects a good source once in 10^9 runs."
        )


def _nonces(bench: Bench, algorithm: str, private: ec.EllipticCurvePrivateKey, total: int) -> list[int]:
    """Return the nonces of that many signatures, which a key makes that was imported."""
    try:
        key = imported(bench, algorithm)
    except Unsupported:
        bench.bound(f"Whether nonces of {algorithm} are biased was not checked: no known key can be imported.")
        raise
    scheme = bench.scheme(algorithm)
    messages = [f"nonce {number}".encode() for number in range(total)]
    found = [nonce_of(private, scheme.scheme, message, bench.sign(key, message, scheme)) for message in messages]
    nonces = [nonce for nonce in found if nonce is not None]
    if len(nonces) < total:
        raise Violation("a signature of an imported key was not made with the key that was imported")
    return nonces
