"""FR-023: whether an access key may be used is decided when the backend is opened, so that every use agrees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import BackendUnavailable, KeyclaveError, PolicyViolation
from keyclave.models import AvailabilityStatus
from keyclave_aws.settings import CredentialSource

from tests.services.kms.server import Running

MESSAGE = b"a message"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "none"}
WARNING = "FR-023: authentication_method must be MANAGED_IDENTITY for aws; cloud uses environment variables"

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, own_kms: Running, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write the settings of one environment; there are access keys in the environment variables."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def write(environment: str, credentials: str) -> Path:
        path = tmp_path / f"{environment}-{credentials}.toml"
        path.write_text(
            f"[state]\ndirectory = {json.dumps(str(tmp_path / 'state'))}\n"
            f"[environment]\ntype = '{environment}'\nrequired_level = 'SOFTWARE'\n"
            f"[backends.cloud]\nplugin = 'aws'\nregion = 'us-east-1'\nendpoint = '{own_kms.endpoint}'\n"
            f"accept_simulator = true\ncredentials = '{credentials}'\n"
        )
        return path

    return write


@pytest.mark.parametrize(("environment", "credentials"), [("staging", "environment"), ("local", "auto")])
def test_fr_023_every_use_takes_an_access_key_that_may_be_used(
    configure: Configure, environment: str, credentials: str
) -> None:
    with keyclave.open(configure(environment, credentials), principal="tester") as clave:
        with pytest.warns(UserWarning, match=WARNING):
            clave.keys.create("release", "ECDSA_P256", backend="cloud")
        signed = clave.keys.sign("release", MESSAGE)
        assert clave.keys.verify("release", MESSAGE, signed.signature) == 1
        with pytest.warns(UserWarning, match=WARNING):
            shown = clave.backends.show("cloud")
        assert shown.credential_source == "environment variables (AWS_ACCESS_KEY_ID)"
        assert shown.credential_named is (credentials != "auto")
        with pytest.warns(UserWarning, match=WARNING):
            assert clave.backends.health()["cloud"].status is AvailabilityStatus.AVAILABLE


@pytest.mark.filterwarnings("ignore:FR-023")
@pytest.mark.parametrize(("found", "refusal"), [(False, BackendUnavailable), (True, PolicyViolation)])
def test_fr_023_every_use_refuses_an_access_key_that_is_only_found(
    configure: Configure,
    own_kms: Running,
    monkeypatch: pytest.MonkeyPatch,
    *,
    found: bool,
    refusal: type[KeyclaveError],
) -> None:
    """The plugin does not look for it, and goes on to the role of the instance; if it did, the core refuses it."""
    with keyclave.open(configure("local", "auto"), principal="tester") as clave:
        clave.keys.create("release", "ECDSA_P256", backend="cloud")
    if found:
        monkeypatch.setattr("keyclave_aws.credentials.choose_source", lambda *_: CredentialSource.ENVIRONMENT)
    with keyclave.open(configure("staging", "auto"), principal="tester") as clave:
        for use in (
            lambda: clave.keys.sign("release", MESSAGE),
            lambda: clave.keys.create("other", "ECDSA_P256", backend="cloud"),
            lambda: clave.backends.show("cloud"),
        ):
            with pytest.raises(refusal) as raised:
                use()
            assert ("FR-023" in str(raised.value)) is found
        health = clave.backends.health()["cloud"]
        assert health.status is AvailabilityStatus.UNAVAILABLE
        assert ("FR-023" in health.detail) is found
        assert clave.backends.list() == ()
    assert [call for call in own_kms.kms.calls if call.operation == "Sign"] == []
