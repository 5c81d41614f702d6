"""The model of a key keeps to the limits that a backend describes, and expects that it does so too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keyclave.errors import InvalidArgument
from keyclave.plugin import BackendDescription, Encrypted, KeyReference, hookimpl
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.model import ModelKey
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.violations import Violation
from msgspec.structs import replace

SHORTEST, LONGEST = 2, 8


class Lax(Miniature):
    """Describes limits, and takes everything."""

    @hookimpl
    def describe(self) -> BackendDescription:
        described = super().describe()
        limited = (replace(each, min_plaintext=SHORTEST, max_plaintext=LONGEST) for each in described.algorithms)
        return replace(described, algorithms=tuple(limited))


class Strict(Lax):
    """Takes what it describes."""

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        if not SHORTEST <= len(plaintext) <= LONGEST:
            raise InvalidArgument("it is too short or too long")
        return super().encrypt(key, plaintext, aad)


@pytest.fixture
def key(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModelKey]:
    budget = BUDGETS["smoke"]
    source = Made(make=request.param, plugin=NAME, guarded=False)
    bench = Bench(source, budget, Labels("0a1b2c3d"), tmp_path, Meter(budget))
    key = ModelKey(bench, "AES_256", bench.label())
    key.create()
    yield key
    bench.close()


@pytest.mark.parametrize("key", [Strict], indirect=True)
@pytest.mark.parametrize("size", [0, 1, 2, 8, 9, 40])
def test_what_is_beyond_the_limits_is_refused_in_every_state(key: ModelKey, size: int) -> None:
    key.use(bytes(size))
    key.destroy()
    key.use(bytes(size))
    assert key.states == {"destroyed"}


@pytest.mark.parametrize("key", [Lax], indirect=True)
@pytest.mark.parametrize("size", [0, 1, 9, 40])
def test_a_backend_that_takes_what_its_description_excludes_is_told(key: ModelKey, size: int) -> None:
    with pytest.raises(Violation, match=f"AES_256 with {size} bytes, which its description excludes, succeeded"):
        key.use(bytes(size))
