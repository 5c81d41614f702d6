"""The reference page of the zoo, from its registry; the zoo's own tests show that each line is true."""

from __future__ import annotations

from keyclave_contract_tests.catalogue import catalogue

from tests.zoo.fault import all_faults

__all__ = ["page"]


def page() -> str:
    """Return the page as Markdown: the figures, then a line for each check."""
    faults = all_faults()
    found: dict[int, list[str]] = {}
    for fault in faults:
        deep = " (deep)" if fault.budget == "deep" else ""
        for number in fault.kills:
            found.setdefault(number, []).append(fault.name + deep)
    pairs = sum(map(len, found.values()))
    rows = "".join(
        f"| `{check.id}` | {len(found[check.number])} | {'; '.join(sorted(found[check.number]))} |\n"
        for check in catalogue()
    )
    return (
        "# Zoo\n\n"
        f"The contract suite is proved by {len(faults)} backends, verifiers and plugins that are wrong on purpose.\n"
        f"All of them are found: {len(found)} checks find them, in {pairs} pairs of fault and check, through the\n"
        "guards of the core and on the bare object. A fault that is found only at the budget `deep` says so.\n"
        "[How the contract suite works](../explanation/contract-suite.md#the-zoo) says what CI requires.\n\n"
        f"| check | faults | which |\n|---|---|---|\n{rows}"
    )
