"""Versions of one key: labels that differ in nothing but the version, and the keys that they name."""

from __future__ import annotations

from collections.abc import Iterable

from keyclave.plugin import KeyLabel
from msgspec import structs

from keyclave_contract_tests.bench import Bench, Key

__all__ = ["destroy_all", "in_version", "lineage"]


def in_version(bench: Bench, label: KeyLabel, version: int) -> KeyLabel:
    """Return the label of another version of the same key, noted as one that may be there from now on."""
    return bench.version(structs.replace(label, version=version))


def lineage(bench: Bench, algorithm: str, versions: Iterable[int]) -> list[Key]:
    """Create the versions of one new key, in the order that they are given in."""
    base = bench.labels.new()
    return [bench.make(algorithm, label=in_version(bench, base, version)) for version in versions]


def destroy_all(bench: Bench, keys: Iterable[Key]) -> None:
    """Destroy keys that the check no longer needs."""
    for key in keys:
        bench.destroy(key)
