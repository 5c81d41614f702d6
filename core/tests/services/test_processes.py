"""Several instances on one state: what one changes, the others respect."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import Conflict, KeyclaveError, KeyDisabled
from keyclave.models import KeyStatus

MESSAGE = b"message"


def test_a_revocation_elsewhere_stops_the_next_signature(clave: Keyclave, config: Path) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.sign("k", MESSAGE)
    with keyclave.open(config) as other:
        other.keys.revoke("k", "stolen")
    with pytest.raises(KeyDisabled):
        clave.keys.sign("k", MESSAGE)


def test_a_rotation_elsewhere_is_followed_at_once(clave: Keyclave, config: Path) -> None:
    clave.keys.create("k", "ED25519")
    assert clave.keys.sign("k", MESSAGE).version == 1
    with keyclave.open(config) as other:
        other.rotation.rotate("k")
    result = clave.keys.sign("k", MESSAGE)
    assert result.version == 2
    assert clave.keys.verify("k", MESSAGE, result.signature) == 2


def test_a_dropped_signature_is_on_record_as_failed(clave: Keyclave, config: Path) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.sign("k", MESSAGE)
    with keyclave.open(config) as other:
        other.rotation.rotate("k")
    clave.keys.sign("k", MESSAGE)
    signs = [(r.status, r.key_version) for r in clave.audit.records() if r.operation_type == "SIGN"]
    assert signs == [("SUCCESS", 1), ("FAILED", 1), ("SUCCESS", 2)]


def test_recovery_leaves_alone_what_another_instance_is_doing(clave: Keyclave, config: Path) -> None:
    clave.keys.create("k", "ED25519")
    with keyclave.open(config) as other:
        backend: Any = other._backends.get("software")
        generate = backend.create_key

        def recover_meanwhile(request: object) -> object:
            created = generate(request)
            assert clave.recovery.run() == ()
            assert len(clave.recovery.open_intents()) == 1
            return created

        backend.create_key = recover_meanwhile
        assert other.rotation.rotate("k").version == 2
    assert clave.recovery.open_intents() == ()


def _rotate(config: Path, start: Any, results: Any) -> None:
    with keyclave.open(config) as clave:
        start.wait()
        try:
            results.put(clave.rotation.rotate("k").version)
        except Conflict:
            results.put("conflict")
        except KeyclaveError as error:
            results.put(repr(error))


def test_racing_rotations_make_one_new_version_each_or_a_clean_conflict(config: Path) -> None:
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ED25519")
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_rotate, args=(config, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    rotated = sorted(outcome for outcome in outcomes if isinstance(outcome, int))
    assert rotated
    assert rotated == list(range(2, 2 + len(rotated)))
    assert all(outcome == "conflict" for outcome in outcomes if not isinstance(outcome, int)), outcomes
    with keyclave.open(config) as clave:
        statuses = [v.status for v in clave.keys.versions("k")]
        assert statuses == [KeyStatus.DEPRECATED] * len(rotated) + [KeyStatus.ACTIVE]
        assert clave.recovery.open_intents() == ()
        assert clave.audit.verify().ok
