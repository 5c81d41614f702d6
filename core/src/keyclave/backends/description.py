"""What an opened backend says about itself: its level needs evidence, and its schemes must make sense."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from keyclave.models import ALGORITHMS, SIGNATURE_SCHEMES, AlgorithmFamily, SecurityLevel
from keyclave.plugin.records import (
    AlgorithmSupport,
    BackendDescription,
    SchemeSupport,
    SignatureEncoding,
    SigningInput,
)

__all__ = ["description_problem", "lowered"]

_ECDSA = frozenset({SignatureEncoding.DER, SignatureEncoding.P1363})


def description_problem(description: BackendDescription, provider_type: str, *, accept_simulator: bool) -> str | None:
    """Return the first thing in a description that cannot be, or ``None`` if there is none.

    Algorithms and schemes that this version does not know are left alone: a newer plugin may know more.
    """
    return next(_problems(description, provider_type, accept_simulator), None)


def lowered(before: BackendDescription, said: BackendDescription) -> BackendDescription:
    """Return a description with what shows its level as the backend says it now.

    A level that it gained is not believed before it is opened again: nothing is relaxed while keys are in use.
    """
    gained = not before.security_level.satisfies(said.security_level)
    shown = before if gained else said
    return structs.replace(
        before,
        security_level=shown.security_level,
        evidence=shown.evidence,
        simulator=shown.simulator,
        authentication_method=said.authentication_method,
        credential_source=said.credential_source,
        credential_named=said.credential_named,
    )


def _problems(description: BackendDescription, provider_type: str, accept_simulator: bool) -> Iterator[str]:  # noqa: FBT001
    if description.provider_type != provider_type:
        yield f"it says that it is {description.provider_type!r}"
    if description.security_level is not SecurityLevel.SOFTWARE:
        level = description.security_level.value
        if not description.evidence:
            yield f"it claims the level {level} without evidence (FR-003)"
        if description.simulator and not accept_simulator:
            yield f"it is a simulator and claims the level {level}, and the settings do not accept that"
    names = [support.algorithm for support in description.algorithms]
    if len(names) != len(set(names)):
        yield "it describes an algorithm twice"
    for support in description.algorithms:
        yield from _algorithm_problems(support)


def _algorithm_problems(support: AlgorithmSupport) -> Iterator[str]:
    algorithm = ALGORITHMS.get(support.algorithm)
    if algorithm is None:
        return
    for offered in support.schemes:
        if offered.scheme not in SIGNATURE_SCHEMES:
            continue
        if offered.scheme not in algorithm.schemes:
            yield f"keys of {algorithm.name} cannot sign with {offered.scheme}"
        yield from _scheme_problems(offered, algorithm.family)


def _scheme_problems(offered: SchemeSupport, family: AlgorithmFamily) -> Iterator[str]:
    if offered.input is SigningInput.DIGEST and SIGNATURE_SCHEMES[offered.scheme].digest is None:
        yield f"{offered.scheme} signs messages, not digests"
    if (offered.encoding in _ECDSA) is not (family is AlgorithmFamily.EC):
        yield f"a signature of {offered.scheme} is not encoded as {offered.encoding.value}"
