"""An application with its keys in AWS KMS: created, used, rotated, destroyed and called off through the core."""

from __future__ import annotations

import json
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import IntegrityError
from keyclave.plugin import Signed

pytestmark = [
    pytest.mark.needs("ministack"),
    pytest.mark.filterwarnings("ignore:FR-023"),  # access keys, since nothing else can be had from an emulator
]
MESSAGE = b"a message"


@pytest.fixture
def config(tmp_path: Path, ministack: str, secret_file: Path) -> Path:
    path = tmp_path / "keyclave.toml"
    path.write_text(
        f"[state]\ndirectory = {json.dumps(str(tmp_path / 'state'))}\n[environment]\ntype = 'local'\n"
        f"[backends.cloud]\nplugin = 'aws'\nregion = 'us-east-1'\nendpoint = '{ministack}'\naccept_simulator = true\n"
        f"credentials = 'static'\naccess_key_id = 'AKIDTEST'\nsecret_access_key_file = '{secret_file}'\n"
    )
    return path


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "RSA_2048", "ED25519"])
def test_a_key_lives_its_life_in_aws(config: Path, algorithm: str) -> None:
    with keyclave.open(config, principal="tester") as clave:
        created = clave.keys.create("release", algorithm, backend="cloud")
        assert created.provider_uri.startswith("arn:aws:kms:us-east-1:")
        signed = clave.keys.sign("release", MESSAGE)
        assert clave.keys.verify("release", MESSAGE, signed.signature) == 1
        clave.rotation.rotate("release")
        both = clave.keys.sign("release", MESSAGE)
        assert both.successor is not None
        assert clave.keys.verify("release", MESSAGE, both.successor.signature) == 2
        clave.rotation.promote("release")
    with keyclave.open(config, principal="tester") as clave:
        assert clave.keys.verify("release", MESSAGE, signed.signature) == 1
        assert clave.keys.verify("release", MESSAGE, clave.keys.sign("release", MESSAGE).signature) == 2
        clave.keys.revoke("release", "the test is over")


def test_a_destruction_is_scheduled_and_called_off(config: Path) -> None:
    with keyclave.open(config, principal="tester") as clave:
        clave.keys.create("release", "ECDSA_P256", backend="cloud")
        clave.keys.revoke("release", "the test is over")
        destroyed = clave.keys.destroy("release", 1)
        assert destroyed.destroyed_at is not None
        assert clave.keys.cancel_destruction("release", 1).destroyed_at is None


def test_data_is_encrypted_under_a_key_in_aws(config: Path) -> None:
    with keyclave.open(config, principal="tester") as clave:
        clave.keys.create("data", "AES_256", backend="cloud")
        ciphertext = clave.keys.encrypt("data", MESSAGE, aad=b"context")
        assert clave.keys.decrypt("data", ciphertext, aad=b"context") == MESSAGE


def test_the_source_of_the_credentials_is_shown(config: Path) -> None:
    with keyclave.open(config, principal="tester") as clave:
        shown = clave.backends.show("cloud")
    assert shown.credential_source == "settings (access_key_id)"
    assert shown.security_level.value == "SOFTWARE"


def test_a_wrong_signature_is_not_released(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with keyclave.open(config, principal="tester") as clave:
        for name in ("one", "other"):
            clave.keys.create(name, "ECDSA_P256", backend="cloud")
        wrong = clave.keys.sign("other", MESSAGE).signature
        monkeypatch.setattr("keyclave_aws.signing._signed", lambda *_: Signed(signature=wrong))
        with pytest.raises(IntegrityError, match="wrong"):
            clave.keys.sign("one", MESSAGE)
