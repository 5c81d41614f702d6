"""A key goes from a token into AWS KMS and back, and a key of AWS KMS is followed by one in a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import keyclave
import pytest
from aws_tests.beside_a_token import with_token
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave import Keyclave
from keyclave.models import KeyMigrationRecord, MigrationStatus, MigrationStrategy

from tests.services.tokens import Token

pytestmark = [
    pytest.mark.needs("ministack"),
    pytest.mark.needs("softhsm"),
    pytest.mark.filterwarnings("ignore:FR-023"),  # access keys, since nothing else can be had from an emulator
]
MESSAGE = b"a message"
As = Callable[[str], Keyclave]


@pytest.fixture
def as_(tmp_path: Path, ministack: str, secret_file: Path, softhsm_token: Token) -> Iterator[As]:
    """Open the instance in the name of a principal."""
    config = with_token(tmp_path, ministack, secret_file, softhsm_token)
    with ExitStack() as closing:
        yield lambda principal: closing.enter_context(keyclave.open(config, principal=principal))


def migrate(as_: As, alice: Keyclave, destination: str) -> KeyMigrationRecord:
    plan = alice.migration.plan(["k"], destination)
    as_("bob").migration.approve(plan.plan_id, "wanted")
    (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.COMPLETED, record.error_message
    alice.migration.verify(record.migration_id)
    return record


def verify_independently(clave: Keyclave, version: int, signature: bytes) -> None:
    """Verify by `cryptography` alone."""
    public_key = clave.keys.public_key("k", version)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA384()))


def test_fr_012_a_key_goes_into_aws_as_it_is_and_comes_back(as_: As) -> None:
    alice = as_("alice")
    # SoftHSM 2.6 puts zero bytes after a key unless its length is a multiple of 8, as that of a P-384 key always is.
    alice.keys.create("k", "ECDSA_P384", backend="hsm", wrappable=True)
    before = alice.keys.sign("k", MESSAGE)
    record = migrate(as_, alice, "cloud")
    assert record.strategy is MigrationStrategy.WRAPPED
    after = alice.keys.sign("k", MESSAGE)
    assert (after.backend_id, after.version) == ("cloud", 1)
    for signed in (before, after):
        verify_independently(alice, 1, signed.signature)
    assert not alice.keys.get("k").security_properties.wrappable

    alice.migration.rollback(record.migration_id, "partners cannot reach it")
    assert list(alice._backends.get("cloud").list_keys()) == []
    again = alice.keys.sign("k", MESSAGE)
    assert again.backend_id == "hsm"
    verify_independently(alice, 1, again.signature)


def test_fr_012_a_key_of_aws_is_followed_by_one_in_a_token(as_: As) -> None:
    alice = as_("alice")
    alice.keys.create("k", "ECDSA_P384", backend="cloud")
    before = alice.keys.sign("k", MESSAGE)
    record = migrate(as_, alice, "hsm")
    assert record.strategy is MigrationStrategy.REKEYED
    after = alice.keys.sign("k", MESSAGE)
    assert (after.backend_id, after.version) == ("hsm", 2)
    verify_independently(alice, 1, before.signature)
    verify_independently(alice, 2, after.signature)
