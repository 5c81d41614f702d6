"""Backends on scratch tokens of SoftHSM2 and NSS, and keys in them.

A module finds its tokens once in the life of a process, so all tests of a process share them; each test has an
instance of its own, and sees no key of another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import keyclave_software.plugin
import pytest
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, KeyLabel
from keyclave_pkcs11_hsm import plugin
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import NewLabel, Open, settings_of
from pkcs11_tests.proxy import Proxy, build

from tests.services import nss, p11_kit, softhsm
from tests.services.tokens import Token

SOFTHSM_TOKENS = ("main", "other", "twin", "twin")


@pytest.fixture(scope="session")
def made_tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Token]:
    return softhsm.make_tokens(tmp_path_factory.mktemp("softhsm"), *SOFTHSM_TOKENS)


@pytest.fixture
def softhsm_tokens(made_tokens: dict[str, Token]) -> dict[str, Token]:
    # For each test again: those of other packages, in the same process, have tokens of their own.
    os.environ.update(made_tokens["main"].environment)
    return made_tokens


@pytest.fixture(scope="session")
def nss_token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    return nss.make_token(tmp_path_factory.mktemp("nss"))


@pytest.fixture(scope="session")
def p11_kit_token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """For other processes: this one has an environment, and perhaps a user, for which p11-kit does not know it."""
    return p11_kit.make_token(tmp_path_factory.mktemp("p11-kit"))


@pytest.fixture
def softhsm_token(softhsm_tokens: dict[str, Token]) -> Token:
    return softhsm_tokens["main"]


@pytest.fixture(
    params=[
        pytest.param("softhsm", marks=pytest.mark.needs("softhsm")),
        pytest.param("nss", marks=pytest.mark.needs("nss")),
    ]
)
def token(request: pytest.FixtureRequest) -> Token:
    """Each of the two real tokens."""
    found = request.getfixturevalue(f"{request.param}_token")
    assert isinstance(found, Token)
    return found


@pytest.fixture
def instance_id() -> UUID:
    return uuid4()


@pytest.fixture
def open_backend(instance_id: UUID, tmp_path: Path) -> Iterator[Open]:
    """Open a token again and again, as another process would."""
    opened: list[Pkcs11Backend] = []

    def open_with(token: Token, /, *, context: dict[str, Any] | None = None, **settings: Any) -> Pkcs11Backend:
        about: dict[str, Any] = {
            "backend_id": "hsm",
            "instance_id": instance_id,
            "environment_type": EnvironmentType.LOCAL,
            "data_directory": tmp_path / "data",
        }
        made = plugin.settings_model()(**{**settings_of(token), **settings})
        backend = plugin.open_backend(made, BackendContext(**(about | (context or {}))))
        assert isinstance(backend, Pkcs11Backend)
        opened.append(backend)
        return backend

    yield open_with
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(open_backend: Open, token: Token) -> Pkcs11Backend:
    return open_backend(token)


@pytest.fixture(scope="session")
def proxy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("proxy"))


@pytest.fixture
def proxy(proxy_path: Path, softhsm_token: Token, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The module that fails on purpose; before the backends are opened, and after they are closed, it does not."""
    monkeypatch.setenv("PROXY_MODULE", str(softhsm_token.module))
    proxy = Proxy(proxy_path)
    proxy.reset()
    yield proxy
    proxy.reset()


@pytest.fixture
def proxied(proxy: Proxy, softhsm_token: Token) -> Token:
    """The token behind that module."""
    return replace(softhsm_token, module=proxy.path)


@pytest.fixture
def behind_proxy(proxy: Proxy, proxied: Token) -> tuple[Proxy, Token]:
    """Both."""
    return proxy, proxied


@pytest.fixture
def software(instance_id: UUID, tmp_path: Path) -> Iterator[Any]:
    context = BackendContext(
        backend_id="software",
        instance_id=instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=tmp_path / "software",
    )
    plugin = keyclave_software.plugin
    backend: Any = plugin.open_backend(plugin.settings_model()(), context)
    yield backend
    backend.close()


@pytest.fixture
def new_label(instance_id: UUID) -> NewLabel:
    return lambda: KeyLabel(instance_id=instance_id, key_id=uuid4(), version=1, operation_id=uuid4())
