from __future__ import annotations

from uuid import UUID

from keyclave_contract_tests.labels import Labels, instance_number, name_of, new_run, next_version


def test_every_label_is_new_and_spells_its_name() -> None:
    labels = Labels("0a1b2c3d")
    assert [name_of(labels.new()) for _ in range(3)] == ["ct-0a1b2c3d-1", "ct-0a1b2c3d-2", "ct-0a1b2c3d-3"]


def test_a_next_version_differs_in_version_and_operation_only() -> None:
    label = Labels("0a1b2c3d").new()
    second = next_version(label)
    third = next_version(second)
    assert (second.key_id, second.instance_id, second.version) == (label.key_id, label.instance_id, 2)
    assert len({label.operation_id, second.operation_id, third.operation_id}) == 3
    assert name_of(third) == "ct-0a1b2c3d-1-v3"


def test_instances_of_one_run_are_told_apart() -> None:
    labels = Labels("0a1b2c3d")
    assert labels.instance() == UUID("63740a1b-2c3d-0000-0000-000000000000")
    assert [instance_number(labels.new(number)) for number in (0, 1, 2)] == [0, 1, 2]


def test_two_runs_have_two_ids() -> None:
    assert new_run() != new_run()
