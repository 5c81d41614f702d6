"""Opening by the rules of where we run: where the settings name no type, evidence decides (FR-002)."""

from __future__ import annotations

from pathlib import Path

import keyclave
import pytest
from keyclave.errors import ConfigurationError, PolicyViolation
from keyclave.models import EnvironmentType
from keyclave.services.detection import service as detection
from keyclave.settings import load

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.fixture
def unset(config: Path) -> Path:
    """Settings that name no type of environment."""
    config.write_text(config.read_text().replace('type = "local"', ""))
    return config


@pytest.fixture
def kubernetes(bare_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")


def test_fr_002_nothing_found_means_local_and_a_warning(unset: Path, caplog: pytest.LogCaptureFixture) -> None:
    with keyclave.open(unset) as clave:
        assert clave.environment.environment_type is EnvironmentType.LOCAL
        assert clave.settings.configured_type is EnvironmentType.LOCAL
    assert "nothing shows a cloud or Kubernetes" in caplog.text


@pytest.mark.usefixtures("kubernetes")
def test_fr_002_kubernetes_without_configuration_means_the_rules_of_production(
    unset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with keyclave.open(unset) as clave:
        assert clave.environment.environment_type is EnvironmentType.PRODUCTION
        with pytest.raises(PolicyViolation, match="HSM is required"):
            clave.keys.create("k", "ED25519")
    assert "[environment] type is not set: the rules of production apply" in caplog.text


@pytest.mark.usefixtures("kubernetes")
def test_production_by_evidence_allows_no_lower_level(unset: Path) -> None:
    unset.write_text(unset.read_text().replace("[environment]", "[environment]\nrequired_level = 'SOFTWARE'"))
    with pytest.raises(ConfigurationError, match="must be HSM in production"):
        keyclave.open(unset)


@pytest.mark.usefixtures("kubernetes")
def test_fr_002_production_by_evidence_does_not_start_on_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYCLAVE_STATE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="does not start on defaults") as refused:
        keyclave.open()
    assert "KUBERNETES_SERVICE_HOST is set" in refused.value.message
    assert "KEYCLAVE_ENVIRONMENT__TYPE" in (refused.value.next_step or "")
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("kubernetes")
def test_production_by_evidence_refuses_a_simulator(unset: Path) -> None:
    unset.write_text(unset.read_text() + "accept_simulator = true\n")
    with pytest.raises(ConfigurationError, match="refuses accept_simulator"):
        keyclave.open(unset)


@pytest.mark.usefixtures("kubernetes")
def test_a_type_in_the_settings_or_the_environment_stands(
    config: Path, unset: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEYCLAVE_ENVIRONMENT__TYPE", "development")
    with keyclave.open(unset) as clave:
        assert clave.environment.environment_type is EnvironmentType.DEVELOPMENT
        found = clave.detect(network=False)
    assert "nothing shows" not in caplog.text
    assert found.environment_type is EnvironmentType.PRODUCTION
    assert "[environment] type is development, and the evidence implies production" in found.warnings
    assert [plugin.distribution for plugin in found.missing] == ["keyclave-k8s"]


@pytest.mark.usefixtures("kubernetes")
def test_detecting_opens_nothing(unset: Path) -> None:
    found = keyclave.detect(unset, network=False)
    assert found.environment_type is EnvironmentType.PRODUCTION
    assert found.backend_type == "k8s"
    assert not found.network
    assert "[environment] type is not set: the rules of production apply" in found.warnings
    assert not (unset.parent / "state").exists()


def test_the_settings_say_whether_the_network_may_be_asked(unset: Path) -> None:
    unset.write_text(unset.read_text() + "\n[environment.detection]\nnetwork = false\n")
    assert not keyclave.detect(unset).network


def test_opening_with_a_type_looks_at_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was looked at")

    monkeypatch.setattr(detection.DetectionService, "look", refuse)
    keyclave.open(config).close()


def test_the_cache_is_in_the_directory_of_the_state_unless_it_is_named(config: Path, tmp_path: Path) -> None:
    assert load(config).detection_cache == tmp_path / "state" / "detection.json"
    config.write_text(config.read_text() + f'\n[environment.detection]\ncache = "{tmp_path}/c/d.json"\n')
    assert load(config).detection_cache == tmp_path / "c" / "d.json"


@pytest.mark.parametrize("limit", ["0s", "11s", "-1"])
def test_a_time_limit_is_more_than_nothing_and_no_more_than_ten_seconds(config: Path, limit: str) -> None:
    config.write_text(config.read_text() + f'\n[environment.detection]\ntime_limit = "{limit}"\n')
    with pytest.raises(ConfigurationError, match=r"environment\.detection\.time_limit"):
        load(config)
