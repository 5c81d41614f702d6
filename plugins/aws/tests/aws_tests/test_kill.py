"""A creation that is killed anywhere leaves no key or one, and the next one with its label finds that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_tests import killing
from aws_tests.backends import NewLabel, Open, create, require_signatures
from keyclave.errors import KeyNotFound, OutcomeUnknown
from keyclave.plugin import KeyLabel
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import alias_of, label_in
from keyclave_aws.trails import Trail

from tests.services.kms.clients import client
from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running

ROOT = Path(__file__).parents[4]
OPERATIONS = ["CreateKey", "CreateAlias", "GetPublicKey"]


def kill(endpoint: str, directory: Path, label: KeyLabel, operation: str, moment: str) -> None:
    arguments = [endpoint, str(directory), str(label), operation, moment]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(directory)}
    ran = subprocess.run(
        [sys.executable, killing.__file__, *arguments], env=environment, check=False, timeout=120, capture_output=True
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()


def keys_of(endpoint: str, label: KeyLabel) -> list[str]:
    """Return the ARNs of all keys with a label that are not scheduled to be deleted."""
    sdk: Any = client(endpoint)
    arns = [key["KeyArn"] for key in sdk.list_keys(Limit=1000)["Keys"]]
    ours = [arn for arn in arns if label_in(sdk.list_resource_tags(KeyId=arn)["Tags"]) == label]
    return [arn for arn in ours if sdk.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Enabled"]


@pytest.mark.needs("ministack")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_killed_creation_made_is_found_and_adopted(  # noqa: PLR0917  fixtures
    open_backend: Open,
    ministack: str,
    new_label: NewLabel,
    tmp_path: Path,
    secret_file: Path,
    operation: str,
    moment: str,
) -> None:
    label = new_label()
    kill(ministack, secret_file.parent, label, operation, moment)
    left = keys_of(ministack, label)
    assert len(left) == (0 if (operation, moment) == ("CreateKey", "before") else 1)
    backend = open_backend(ministack)
    if left:
        assert backend.find_key(label=label).uri == left[0]
    else:
        with pytest.raises(KeyNotFound):
            backend.find_key(label=label)
    created = create(backend, label)
    assert keys_of(ministack, label) == [created.reference.uri]
    assert left in ([], [created.reference.uri])
    found = client(ministack).describe_key(KeyId=alias_of("keyclave", label))["KeyMetadata"]
    assert found["Arn"] == created.reference.uri
    assert list((tmp_path / "data" / "creating").iterdir()) == []
    assert created.public_key is not None
    require_signatures(backend, created.reference, created.public_key)


def test_own_kms_an_unknown_creation_is_looked_for_before_it_is_repeated(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    label = new_label()
    own_kms.kms.fail("CreateAlias", KmsFailure("KMSInternalException"))
    with pytest.raises(OutcomeUnknown):
        create(on_own_kms, label)
    assert len(own_kms.kms.account.keyring.keys) == 1
    again = create(on_own_kms, label)
    assert [key.arn for key in own_kms.kms.account.keyring.keys.values()] == [again.reference.uri]
    assert own_kms.kms.count("CreateKey") == 1


def test_own_kms_a_creation_that_was_refused_leaves_no_note_and_no_look_at_all_keys(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel
) -> None:
    label = new_label()
    own_kms.kms.fail("CreateKey", KmsFailure("LimitExceededException"))
    with pytest.raises(Exception, match="quota"):
        create(on_own_kms, label)
    create(on_own_kms, label)
    assert own_kms.kms.count("ListKeys") == 0


def test_own_kms_of_two_keys_with_one_label_the_one_with_the_alias_stays(
    own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = new_label()
    first = create(on_own_kms, label)
    # Another process looked before the alias was there, and makes one of its own.
    look = on_own_kms._trails.follow
    seen = iter([Trail(found=None, free=alias_of("keyclave", label), strayed=False, ends=None)])
    monkeypatch.setattr(on_own_kms._trails, "follow", lambda wanted, **_: next(seen, look(wanted)))
    assert create(on_own_kms, label).reference == first.reference
    states = {key.arn: key.state for key in own_kms.kms.account.keyring.keys.values()}
    assert states.pop(first.reference.uri) == "Enabled"
    assert list(states.values()) == ["PendingDeletion"]
