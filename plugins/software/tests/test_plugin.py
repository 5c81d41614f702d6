"""The plugin as the core sees it: an entry point, light to import, with hooks that fit."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest
from keyclave.models import AvailabilityStatus
from keyclave.plugin import Health, KeyStorage, Provider, Signing
from keyclave_software import plugin
from keyclave_software.backend import SoftwareBackend
from keyclave_software.settings import Argon2Settings, SoftwareSettings

from plugins.software.tests.conftest import NewKey, Open

NOT_OFFERED = {
    "adopt_key",
    "attest_key",
    "forget_key",
    "list_foreign_keys",
    "mac",
    "permissions_policy",
    "check_permissions",
    "cancel_destruction",
}


def hooks(*specifications: type) -> set[str]:
    return {name for each in specifications for name, value in vars(each).items() if hasattr(value, "keyclave_spec")}


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="keyclave.backends", name="software")
    assert entry.load() is plugin
    assert entry.dist is not None
    assert entry.dist.name == "keyclave-software"


def test_importing_the_plugin_imports_no_cryptography() -> None:
    program = "import sys, keyclave_software.plugin; print([m for m in sys.modules if m.startswith('cryptography')])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_its_hooks_fit_the_specifications(backend: SoftwareBackend) -> None:
    for implementation, specifications in ((plugin, (Provider,)), (backend, (KeyStorage, Signing, Health))):
        manager = pluggy.PluginManager("keyclave")
        for each in specifications:
            manager.add_hookspecs(each)
        manager.register(implementation)
        manager.check_pending()
        implemented = {caller.name for caller in manager.get_hookcallers(implementation) or ()}
        assert implemented == hooks(*specifications) - NOT_OFFERED


def test_health_is_what_can_be_read_and_written(
    backend: SoftwareBackend, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in data_directory.iterdir())
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)  # root may write everywhere
        assert backend.check_health().status is AvailabilityStatus.DEGRADED
    description = data_directory / "keystore.json"
    description.chmod(0o644)
    assert "lets group or others in" in backend.check_health().detail
    description.chmod(0o600)
    description.write_bytes(b"{}")
    assert backend.check_health().status is AvailabilityStatus.UNAVAILABLE
    description.unlink()
    assert backend.check_health().detail == "keystore.json is missing"
    assert sorted(path.name for path in data_directory.iterdir()) == [n for n in before if n != "keystore.json"]


def test_health_of_a_keystore_that_cannot_be_read_is_told_not_raised(
    backend: SoftwareBackend, data_directory: Path
) -> None:
    (data_directory / "keystore.json").unlink()
    (data_directory / "keystore.json").mkdir()
    assert backend.check_health().status is AvailabilityStatus.UNAVAILABLE


def test_a_closed_backend_remembers_no_key(open_backend: Open, new_key: NewKey) -> None:
    backend = open_backend()
    backend.sign(key=new_key().reference, data=b"message", scheme="ED25519")
    backend.close()
    assert backend._loaded.in_memory == {}


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", readme.partition("## Settings")[2].partition("\n## ")[0], re.M))
    settings = set(SoftwareSettings.model_fields) - {"argon2"}
    assert named == settings | {f"argon2.{name}" for name in Argon2Settings.model_fields}
