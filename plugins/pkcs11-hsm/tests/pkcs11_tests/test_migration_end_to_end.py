"""An application's keys go into a token, out of it and to another one, while it keeps calling them by their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import keyclave
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave import Keyclave
from keyclave.errors import PolicyViolation
from keyclave.models import KeyMigrationRecord, MigrationStatus, MigrationStrategy
from pkcs11_tests.configuring import with_tokens

from tests.principals import As, alice, bob
from tests.services.tokens import Token

__all__ = ["alice", "bob"]

pytestmark = pytest.mark.needs("softhsm")

MESSAGE = b"a message"


@pytest.fixture
def as_(softhsm_tokens: dict[str, Token], tmp_path: Path) -> Iterator[As]:
    """Open the instance in the name of a principal."""
    config = with_tokens(tmp_path, softhsm_tokens)
    with ExitStack() as closing:
        yield lambda principal: closing.enter_context(keyclave.open(config, principal=principal))


def migrate(
    alice: Keyclave, bob: Keyclave, name: str, destination: str, exception: str | None = None
) -> KeyMigrationRecord:
    plan = alice.migration.plan([name], destination, exception=exception)
    bob.migration.approve(plan.plan_id, "wanted")
    (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.COMPLETED, record.error_message
    return record


def verify_independently(clave: Keyclave, version: int, signature: bytes) -> None:
    """Verify by `cryptography` alone."""
    public_key = clave.keys.public_key("k", version)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def listed(clave: Keyclave, backend: str) -> set[str]:
    return {str(reference.label) for reference in clave._backends.get(backend).list_keys()}


@pytest.mark.parametrize("source", ["software", "vault"])
def test_fr_012_a_key_goes_into_a_token_as_it_is_and_comes_back(alice: Keyclave, bob: Keyclave, source: str) -> None:
    alice.keys.create("k", "ECDSA_P256", backend=source, wrappable=True)
    before = alice.keys.sign("k", MESSAGE)
    record = migrate(alice, bob, "k", "hsm")
    assert record.strategy is MigrationStrategy.WRAPPED
    moved = alice.keys.get("k")
    assert (moved.backend_id, moved.version) == ("hsm", 1)
    assert moved.security_properties.hsm_backed
    after = alice.keys.sign("k", MESSAGE)
    assert (after.backend_id, after.version) == ("hsm", 1)
    for signature in (before.signature, after.signature):
        verify_independently(bob, 1, signature)
    alice.migration.verify(record.migration_id)

    alice.migration.rollback(record.migration_id, "partners cannot reach it")
    assert listed(alice, "hsm") == set()
    again = alice.keys.sign("k", MESSAGE)
    assert again.backend_id == source
    verify_independently(bob, 1, again.signature)


def test_fr_012_what_was_encrypted_in_a_token_is_decrypted_in_the_next(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("data", "AES_256", backend="hsm", wrappable=True)
    ciphertext = alice.keys.encrypt("data", MESSAGE, aad=b"context")
    record = migrate(alice, bob, "data", "vault")
    assert record.strategy is MigrationStrategy.WRAPPED
    assert alice.keys.get("data").backend_id == "vault"
    assert bob.keys.decrypt("data", ciphertext, aad=b"context") == MESSAGE
    alice.migration.verify(record.migration_id)


def test_fr_012_what_software_encrypted_is_decrypted_where_it_was(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("data", "AES_256", backend="software", wrappable=True)
    ciphertext = alice.keys.encrypt("data", MESSAGE, aad=b"context")
    assert migrate(alice, bob, "data", "hsm").strategy is MigrationStrategy.REKEYED
    assert bob.keys.decrypt("data", ciphertext, aad=b"context") == MESSAGE
    new = alice.keys.encrypt("data", MESSAGE, aad=b"context")
    assert alice.keys.get("data").backend_id == "hsm"
    assert bob.keys.decrypt("data", new, aad=b"context") == MESSAGE


def test_fr_012_a_key_leaves_an_hsm_for_software_with_an_exception_only(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ECDSA_P256", backend="hsm")
    before = alice.keys.sign("k", MESSAGE)
    refused = alice.migration.plan(["k"], "software")
    assert refused.possible == ()
    assert "'hsm' shows HSM, and 'software' shows SOFTWARE" in refused.versions[0].reason
    with pytest.raises(PolicyViolation):
        alice.migration.run(refused.plan_id)
    assert alice.keys.sign("k", MESSAGE).backend_id == "hsm"

    record = migrate(alice, bob, "k", "software", exception="the token is returned to its maker")
    assert record.strategy is MigrationStrategy.REKEYED
    after = alice.keys.sign("k", MESSAGE)
    assert (after.backend_id, after.version) == ("software", 2)
    verify_independently(bob, 1, before.signature)
    verify_independently(bob, 2, after.signature)
    assert [bob.keys.verify("k", MESSAGE, signed.signature) for signed in (before, after)] == [1, 2]
    alice.migration.verify(record.migration_id)
