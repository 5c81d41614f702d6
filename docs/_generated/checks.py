"""The reference page of the contract checks, from the catalogue of the suite."""

from __future__ import annotations

from keyclave_contract_tests.catalogue import CONTRACT, Check, Per, catalogue
from keyclave_contract_tests.vocabulary import Group, Level

__all__ = ["page"]

_REPEATED = {
    Per.BACKEND: "once",
    Per.ALGORITHM: "each algorithm",
    Per.SIGNING: "each algorithm that signs",
    Per.ENCRYPTING: "each algorithm that encrypts",
    Per.SCHEME: "each signature scheme",
}
_LEVELS = {
    Level.CORE: "what every backend must do; all other levels need it, and it counts every security check",
    Level.SIGN: "signatures verify independently, always, and only for what was signed",
    Level.ENCRYPT: "what was encrypted comes back unchanged, or not at all",
    Level.WRAP: "keys move wrapped, whole, and only where that is allowed",
    Level.ROTATE: "versions of a key are keys of their own",
    Level.DURABLE: "keys survive closing, opening again and a kill at any moment",
    Level.PARALLEL: "threads, handles and processes do not disturb each other",
    Level.HARDWARE: "the backend shows by evidence that keys are kept in hardware",
}


def page() -> str:
    """Return the page as Markdown: the levels, then a table for each group."""
    checks = catalogue()
    security = sum(check.security for check in checks)
    levels = "".join(f"| {level.value} | {_LEVELS[level]} | {_counted(checks, level)} |\n" for level in Level)
    return (
        "# Contract checks\n\n"
        f"The {len(checks)} checks of contract {CONTRACT}. {security} of them are security checks, which no ledger\n"
        "of known failures can excuse. [Run the contract](../how-to/run-the-contract.md) says how to run them.\n\n"
        f"## Levels\n\n| level | what it says | checks |\n|---|---|---|\n{levels}"
        + "".join(_section(group, [check for check in checks if check.group is group]) for group in Group)
    )


def _counted(checks: tuple[Check, ...], level: Level) -> int:
    return sum(check.level is level for check in checks)


def _section(group: Group, checks: list[Check]) -> str:
    if not checks:
        return ""
    rows = "".join(
        f"| `{check.id}` | {check.title}{' *Security.*' if check.security else ''} | {check.level.value} | "
        f"{_REPEATED[check.per]} | {check.cost.value} |\n"
        for check in checks
    )
    head = "| check | property | level | for | cost |\n|---|---|---|---|---|\n"
    return f"\n## {group.value.capitalize()}\n\n{head}{rows}"
