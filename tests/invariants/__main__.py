"""Check the invariants of a state directory: ``python -m tests.invariants STATE BEFORE ACKNOWLEDGED``.

``STATE`` is the directory after recovery and ``BEFORE`` an earlier copy of it; both have software backends only.
``ACKNOWLEDGED`` has a line of JSON for each operation that a caller got the answer of (`Acknowledged`). It prints a
line for each place where an invariant does not hold, and the exit code is 1 if there is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.invariants.checker import Acknowledged, Evidence, violations
from tests.invariants.inventory import software_labels
from tests.invariants.state import read_state


def main() -> int:
    """Check, print, and return the exit code."""
    state, before, acknowledged = map(Path, sys.argv[1:])
    inventory = {path.name: software_labels(path) for path in (state / "backends").iterdir()}
    found = violations(
        Evidence(
            now=read_state(state),
            before=read_state(before),
            inventory=inventory,
            levels=dict.fromkeys(inventory, "SOFTWARE"),
            acknowledged=tuple(Acknowledged(**json.loads(line)) for line in acknowledged.read_text().splitlines()),
        )
    )
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
