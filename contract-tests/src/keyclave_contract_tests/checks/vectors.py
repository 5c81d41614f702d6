"""The vectors of Wycheproof, against what guards every backend: Keyclave's own verifier and unwrapping.

A signature that a backend makes is released only if this verifier accepts it, and a key that moves is unwrapped by
this function in every backend that unwraps in software.
"""

from __future__ import annotations

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.vector_runs import OAEP_FILES, SIGNATURE_FILES, run_key_wrap, run_oaep, run_signatures
from keyclave_contract_tests.vectors.outcomes import VectorRun
from keyclave_contract_tests.violations import Violation
from keyclave_contract_tests.vocabulary import Group, Level

_SHOWN = 3


@check(121, group=Group.VECTORS, level=Level.CORE, calls=0, security=True)
def signature_vectors_are_judged_rightly(bench: Bench, target: Target) -> None:
    """Keyclave's verifier judges every signature of the Wycheproof files as Wycheproof does."""
    for name in SIGNATURE_FILES:
        _judge(bench, run_signatures(name, bench.source.crypto.bind_verifier))


@check(131, group=Group.VECTORS, level=Level.CORE, calls=0, security=True)
def key_wrap_vectors_are_judged_rightly(bench: Bench, target: Target) -> None:
    """Keyclave unwraps every valid AES-KWP vector of Wycheproof, and refuses every other in the same words."""
    _judge(bench, run_key_wrap(bench.source.unwrap))


@check(132, group=Group.VECTORS, level=Level.CORE, calls=0, security=True)
def oaep_vectors_are_judged_rightly(bench: Bench, target: Target) -> None:
    """Keyclave unwraps every valid RSA-OAEP vector of Wycheproof, and refuses every other in the same words."""
    for name in OAEP_FILES:
        _judge(bench, run_oaep(name, bench.source.unwrap))


def _judge(bench: Bench, run: VectorRun) -> None:
    """Raise a `Violation` for a file with mismatches; state how the vectors went that may go either way."""
    bench.planned += run.ran
    bench.examples += run.ran
    if run.mismatches:
        shown = "; ".join(
            f"{m.tc_id} ({', '.join(m.flags) or m.comment}) was {m.found}, and is to be {m.expected}"
            for m in run.mismatches[:_SHOWN]
        )
        raise Violation(f"{len(run.mismatches)} of {run.ran} vectors of {run.name} were judged wrongly: {shown}")
    if run.acceptable:
        bench.observe(
            f"{run.name}: {run.accepted} of the {run.acceptable} vectors that may go either way were accepted"
        )
