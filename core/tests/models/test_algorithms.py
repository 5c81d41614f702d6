from __future__ import annotations

from typing import Any

import pytest
from keyclave.errors import InvalidArgument
from keyclave.models import (
    ALGORITHMS,
    SIGNATURE_SCHEMES,
    KeyOperation,
    SecurityLevel,
    get_algorithm,
    get_signature_scheme,
    scheme_for,
)

SIGNING = [name for name, algorithm in ALGORITHMS.items() if algorithm.signs]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_found_by_its_name(name: str) -> None:
    algorithm = get_algorithm(name)
    assert algorithm.name == name
    assert bool(algorithm.schemes) is algorithm.signs
    assert (KeyOperation.ENCRYPT in algorithm.operations) is not algorithm.signs
    assert set(algorithm.schemes) <= set(SIGNATURE_SCHEMES)


@pytest.mark.parametrize("name", ["", "rsa_2048", "RSA_1024", None, []])
def test_an_unknown_name_is_refused_with_those_that_are_known(name: Any) -> None:
    with pytest.raises(InvalidArgument, match="unknown algorithm") as caught:
        get_algorithm(name)
    assert all(known in caught.value.next_step for known in ALGORITHMS)
    with pytest.raises(InvalidArgument, match="unknown signature scheme") as caught:
        get_signature_scheme(name)
    assert all(known in caught.value.next_step for known in SIGNATURE_SCHEMES)


@pytest.mark.parametrize("name", SIGNING)
def test_a_key_signs_with_its_own_schemes_and_the_first_by_default(name: str) -> None:
    algorithm = get_algorithm(name)
    assert scheme_for(algorithm, None).name == algorithm.schemes[0]
    for scheme in SIGNATURE_SCHEMES:
        if scheme in algorithm.schemes:
            assert scheme_for(algorithm, scheme) is SIGNATURE_SCHEMES[scheme]
        else:
            with pytest.raises(InvalidArgument, match=f"cannot sign with {scheme}"):
                scheme_for(algorithm, scheme)


def test_every_scheme_belongs_to_an_algorithm() -> None:
    assert {scheme for algorithm in ALGORITHMS.values() for scheme in algorithm.schemes} == set(SIGNATURE_SCHEMES)


@pytest.mark.parametrize("scheme", [None, "ECDSA_SHA256", "nonsense"])
def test_a_key_that_encrypts_does_not_sign(scheme: str | None) -> None:
    with pytest.raises(InvalidArgument, match="it does not sign"):
        scheme_for(get_algorithm("AES_256"), scheme)


def test_the_registries_cannot_be_changed() -> None:
    for registry in (ALGORITHMS, SIGNATURE_SCHEMES):
        changeable: Any = registry
        with pytest.raises(TypeError):
            changeable["NEW"] = None


def test_a_level_satisfies_itself_and_what_is_below() -> None:
    order = [SecurityLevel.SOFTWARE, SecurityLevel.TPM, SecurityLevel.HSM]
    assert set(order) == set(SecurityLevel)
    for i, level in enumerate(order):
        assert [level.satisfies(required) for required in order] == [j <= i for j in range(3)]
