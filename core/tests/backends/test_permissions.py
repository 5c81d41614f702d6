"""The policy of permissions: whose it is, from which settings, and what a plugin may make of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keyclave.backends.manager import BackendManager
from keyclave.errors import CapabilityUnsupported, ConfigurationError, PluginLoadError

Manage = Callable[..., BackendManager]
Installed = Callable[..., None]


@pytest.fixture
def manager(installed: Installed, manage: Manage, tmp_path: Path) -> BackendManager:
    installed("foreign", "acme")
    return manage("acme-foreign", keys=str(tmp_path / "shared"))


def sabotage(manager: BackendManager, behaviour: Callable[..., Any]) -> None:
    """Let the module of the plugin do something else."""
    manager._modules.load("acme-foreign")
    (implementation,) = manager._modules._manager.hook.permissions_policy.get_hookimpls()
    object.__setattr__(implementation, "function", behaviour)


def test_the_policy_of_a_backend_comes_from_its_settings(manager: BackendManager) -> None:
    assert manager.permissions_policy("acme-foreign") == '{"allow": ["acme:Use:shared"]}'


def test_the_policy_of_a_plugin_needs_none(installed: Installed, manage: Manage) -> None:
    installed("foreign", "acme")
    assert manage("acme").permissions_policy("acme-foreign") == '{"allow": ["acme:*"]}'


def test_settings_that_do_not_fit_are_told(installed: Installed, manage: Manage) -> None:
    installed("foreign")
    with pytest.raises(ConfigurationError, match=r"\[backends.acme-foreign\] keys: Field required"):
        manage("acme-foreign").permissions_policy("acme-foreign")


def test_a_plugin_without_a_policy(manager: BackendManager) -> None:
    with pytest.raises(CapabilityUnsupported, match="plugin 'acme' has no policy of permissions"):
        manager.permissions_policy("acme")


def test_a_name_that_nothing_has(manager: BackendManager) -> None:
    with pytest.raises(ConfigurationError, match="neither a configured backend nor an installed plugin is called"):
        manager.permissions_policy("other")


def test_what_is_no_text_is_refused(manager: BackendManager) -> None:
    sabotage(manager, lambda settings: {"allow": []})
    with pytest.raises(PluginLoadError, match="permissions_policy returned dict, not text"):
        manager.permissions_policy("acme-foreign")


def test_what_escapes_is_told_without_its_words(manager: BackendManager) -> None:
    def fail(settings: object) -> str:
        raise ValueError("canary")

    sabotage(manager, fail)
    with pytest.raises(PluginLoadError, match="permissions_policy raised ValueError at ") as raised:
        manager.permissions_policy("acme-foreign")
    assert "canary" not in str(raised.value)
    assert raised.value.__context__ is None
