"""A key that AWS does not find, or not as it was, is not taken for one that is gone. On the KMS of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keyclave
import pytest
from aws_tests.backends import NewLabel, Open, create
from keyclave.errors import ConfigurationError, Conflict, IntegrityError, OutcomeUnknown
from keyclave.plugin import DestroyState, KeyReference
from keyclave_aws.backend import AwsBackend

from tests.services.kms.clients import client
from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running

USES: dict[str, Callable[[AwsBackend, KeyReference], object]] = {
    "sign": lambda backend, key: backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256"),
    "public_key": lambda backend, key: backend.public_key(key=key),
    "enable_key": lambda backend, key: backend.enable_key(key=key),
    "disable_key": lambda backend, key: backend.disable_key(key=key),
    "destroy_key": lambda backend, key: backend.destroy_key(key=key),
    "cancel_destruction": lambda backend, key: backend.cancel_destruction(key=key),
}


@pytest.mark.parametrize("use", USES)
def test_own_kms_a_key_in_another_region_is_no_key_that_is_gone(
    open_backend: Open, own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, use: str
) -> None:
    key = create(on_own_kms, new_label()).reference
    moved = open_backend(own_kms.endpoint, region="eu-central-1")
    before = len(own_kms.kms.calls)
    with pytest.raises(ConfigurationError, match="in the region us-east-1, and this backend looks in eu-central-1"):
        USES[use](moved, key)
    assert len(own_kms.kms.calls) == before


def test_own_kms_a_key_that_is_not_known_yet_is_destroyed(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label()).reference
    own_kms.kms.fail("ListResourceTags", KmsFailure("NotFoundException"), times=2)
    assert on_own_kms.destroy_key(key=key).state is DestroyState.SCHEDULED


@pytest.mark.parametrize("code", ["ConflictException", "KMSInvalidStateException"])
def test_own_kms_a_destruction_that_goes_on_is_not_called_off(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, code: str
) -> None:
    key = create(on_own_kms, new_label()).reference
    on_own_kms.destroy_key(key=key)
    own_kms.kms.fail("CancelKeyDeletion", KmsFailure(code))
    with pytest.raises(Conflict):
        on_own_kms.cancel_destruction(key=key)
    on_own_kms.cancel_destruction(key=key)
    on_own_kms.cancel_destruction(key=key)
    assert client(own_kms.endpoint).describe_key(KeyId=key.uri)["KeyMetadata"]["KeyState"] == "Disabled"


@pytest.mark.filterwarnings("ignore:FR-023")  # access keys, since nothing else can be had from an emulator
def test_own_kms_a_key_whose_tags_were_taken_away_is_not_noted_as_destroyed(
    own_kms: Running, secret_file: Path, tmp_path: Path
) -> None:
    config = tmp_path / "keyclave.toml"
    config.write_text(
        f"[state]\ndirectory = {json.dumps(str(tmp_path / 'state'))}\n[environment]\ntype = 'local'\n"
        f"[backends.cloud]\nplugin = 'aws'\nregion = 'us-east-1'\nendpoint = '{own_kms.endpoint}'\n"
        "accept_simulator = true\ncredentials = 'static'\naccess_key_id = 'AKIDTEST'\n"
        f"secret_access_key_file = {json.dumps(str(secret_file))}\n"
    )
    with keyclave.open(config, principal="tester") as clave:
        clave.keys.create("release", "ECDSA_P256", backend="cloud")
        clave.keys.revoke("release", "the test is over")
        (key,) = own_kms.kms.account.keyring.keys.values()
        tags, key.tags = key.tags, {}
        with pytest.raises(OutcomeUnknown, match="does not have this label"):
            clave.keys.destroy("release", 1)
        assert clave.keys.get("release").destroyed_at is None
    key.tags = tags
    with keyclave.open(config, principal="tester") as clave:
        assert [intent.kind for intent in clave.recovered] == ["destroy"]
    assert key.state == "PendingDeletion"


def test_own_kms_a_key_with_other_tags_is_not_destroyed(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    key = create(on_own_kms, new_label()).reference
    own_kms.kms.account.keyring.named(key.uri).tags["keyclave:version"] = "2"
    with pytest.raises(IntegrityError, match="does not have this label"):
        on_own_kms.destroy_key(key=key)
    with pytest.raises(IntegrityError, match="does not have this label"):
        on_own_kms.cancel_destruction(key=key)
