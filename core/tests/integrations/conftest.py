"""One instance with a key of every kind, for the tests that only sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave

from core.tests.configuring import settings_of

PrivateKeys = Callable[[str], Any]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyclave]:
    directory = tmp_path_factory.mktemp("integrations")
    config = directory / "keyclave.toml"
    config.write_text(settings_of(directory / "state"))
    with keyclave.open(config, principal="tester") as clave:
        yield clave


@pytest.fixture(scope="session")
def private_key(shared: Keyclave) -> PrivateKeys:
    """Return the key of an algorithm, made when it is first asked for."""
    made: dict[str, Any] = {}

    def get(algorithm: str) -> Any:
        name = algorithm.lower()
        if name not in made:
            shared.keys.create(name, algorithm)
            made[name] = shared.keys.private_key(name)
        return made[name]

    return get
