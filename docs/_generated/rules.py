"""The reference page of the rules: what each number in an error means, and the tests whose names carry it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

__all__ = ["RULES", "page", "shown_by_rule"]

RULES = {
    "FR-001": "A backend of a cloud keeps keys in an HSM. One that shows less says so with evidence, and production"
    " refuses it.",
    "FR-002": "Where Keyclave runs is found from evidence. Evidence makes rules stricter, never laxer.",
    "FR-003": "A security level above SOFTWARE rests on evidence, which is kept beside it.",
    "FR-004": "A key in an HSM is not exportable.",
    "FR-010": "Every operation leaves a durable record in the audit log, or it has no result.",
    "FR-012": "A migration moves a key to another backend: approved, its integrity and both sides proved, and the"
    " source kept for at least 30 days.",
    "FR-013": "No key material is in an error, a log or a record.",
    "FR-014": "Production requires an HSM. A key is used in a backend of the level that it requires, or not at all.",
    "FR-016": "Every backend is checked each minute, and what is UNAVAILABLE takes no new keys.",
    "FR-017": "A rotation makes the next version and keeps the old one. Versions only grow; until the validation"
    " period ends both sign.",
    "FR-021": "A new key goes to the first backend in the order of precedence that may take it. An existing key stays"
    " where it is.",
    "FR-022": "Keys are rotated automatically at an age of 1 to 365 days, 90 unless the settings say so, and not"
    " before their minimum interval.",
    "FR-023": "A cloud takes the managed identity, Kubernetes the service account, and an API key is discouraged"
    " everywhere. Production and staging take something else only where the settings name it.",
    "FR-024": "Where the policy allows it, and in production only where somebody said so, a standby that was made"
    " with the key signs while its backend is unavailable: never below the required level, and for a limited time.",
    "NFR-007": "A signature that takes longer than 500 ms is a warning, and is counted.",
}
_ROOT = Path(__file__).parents[2]
_PLACES = ("core/tests", "plugins/*/tests", "contract-tests/tests", "tests")
_NAME = re.compile(r"^\s*def test_(n?fr)_(\d{3})_(\w+)\(", re.MULTILINE)


def shown_by_rule() -> dict[str, list[str]]:
    """Return, by rule, the tests whose names carry its number, as sentences."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(file for place in _PLACES for file in _ROOT.glob(f"{place}/**/test_*.py")):
        for kind, number, words in _NAME.findall(file.read_text()):
            found[f"{kind.upper()}-{number}"].append(words.replace("_", " "))
    return found


def page() -> str:
    """Return the page as Markdown: a section for each rule."""
    found = shown_by_rule()
    return (
        "# Rules\n\n"
        "An error that refuses something for a rule names it by a number. These are the rules, each with what its\n"
        "tests show.\n"
    ) + "".join(_section(rule, means, found[rule]) for rule, means in RULES.items())


def _section(rule: str, means: str, tests: list[str]) -> str:
    shown = "".join(f"- {words}\n" for words in tests)
    return f"\n## {rule}\n\n{means}\n\n{shown}"
