from __future__ import annotations

from datetime import timedelta

import pytest
from keyclave import Keyclave, RotationPolicy
from keyclave.errors import Conflict, KeyNotFound, PolicyViolation
from keyclave.models import KeyStatus, OperationType

from core.tests.services.conftest import Reopen

MESSAGE = b"signed before and after"


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ED25519", "ML_DSA_65"])
def test_fr_017_a_rotation_makes_the_next_version_and_keeps_the_old_one(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("k", algorithm)
    old = clave.keys.sign("k", MESSAGE)
    handle = clave.rotation.rotate("k")
    new = clave.keys.sign("k", MESSAGE)
    assert (old.version, handle.version, new.version) == (1, 2, 2)
    assert [v.status for v in clave.keys.versions("k")] == [KeyStatus.DEPRECATED, KeyStatus.ACTIVE]
    assert clave.keys.public_key("k", 1) != clave.keys.public_key("k", 2)
    assert clave.keys.verify("k", MESSAGE, old.signature) == 1
    assert clave.keys.verify("k", MESSAGE, new.signature) == 2


def test_fr_022_dates_follow_the_policy(clave: Keyclave) -> None:
    policy = RotationPolicy(rotation_interval=timedelta(days=30), validation_period=timedelta(0))
    clave.keys.create("k", "ED25519", policy=policy)
    clave.rotation.rotate("k")
    old, new = clave.keys.versions("k")
    assert old.last_rotation_at is not None
    assert old.last_rotation_at == new.last_rotation_at
    assert old.next_rotation_at is None
    assert new.next_rotation_at == old.last_rotation_at + timedelta(days=30)
    assert old.not_destroy_before == old.last_rotation_at + timedelta(days=90)


def test_fr_022_without_automatic_rotation_none_is_due(clave: Keyclave) -> None:
    policy = RotationPolicy(automatic_rotation_enabled=False, rotation_interval=None)
    assert clave.keys.create("k", "ED25519", policy=policy).next_rotation_at is None


def test_fr_017_a_policy_may_forbid_manual_rotation(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519", policy=RotationPolicy(manual_rotation_allowed=False))
    with pytest.raises(PolicyViolation, match="FR-017"):
        clave.rotation.rotate("k")
    assert clave.keys.get("k").version == 1


def test_fr_022_a_key_is_not_rotated_before_its_minimum_interval(reopen: Reopen) -> None:
    interval = timedelta(hours=1)
    clave = reopen('minimum_interval = "1h"\n', after="[environment.rotation]\n")
    created = clave.keys.create("k", "ED25519")
    assert created.security_properties.minimum_rotation_interval == interval
    with pytest.raises(PolicyViolation, match=f"{created.created_at + interval:%Y-%m-%d %H:%M} UTC"):
        clave.rotation.rotate("k")
    assert clave.recovery.open_intents() == ()


def test_fr_022_a_key_is_due_no_earlier_than_it_may_be_rotated(reopen: Reopen) -> None:
    clave = reopen('minimum_interval = "10d"\n', after="[environment.rotation]\n")
    created = clave.keys.create("k", "ED25519", policy=RotationPolicy(rotation_interval=timedelta(days=7)))
    assert created.next_rotation_at == created.created_at + timedelta(days=10)


def test_many_rotations_count_up(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    signatures = [clave.keys.sign("k", MESSAGE).signature]
    for expected in range(2, 6):
        assert clave.rotation.rotate("k").version == expected
        signatures.append(clave.keys.sign("k", MESSAGE).signature)
    assert [clave.keys.verify("k", MESSAGE, s) for s in signatures] == [1, 2, 3, 4, 5]


def test_a_missing_key_is_not_rotated(clave: Keyclave) -> None:
    with pytest.raises(KeyNotFound):
        clave.rotation.rotate("missing")


def test_a_private_key_of_an_old_version_no_longer_signs(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    private_key = clave.keys.private_key("k")
    private_key.public_key().verify(private_key.sign(MESSAGE), MESSAGE)
    clave.rotation.rotate("k")
    with pytest.raises(Conflict, match="no longer signs"):
        private_key.sign(MESSAGE)


def test_a_rotation_is_on_record(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k")
    with pytest.raises(KeyNotFound):
        clave.rotation.rotate("missing")
    rotations = [r for r in clave.audit.records() if r.operation_type is OperationType.ROTATE]
    assert [(r.status, r.key_version, r.requesting_principal) for r in rotations] == [
        ("SUCCESS", 2, "tester"),
        ("FAILED", None, "tester"),
    ]
