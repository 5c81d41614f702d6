"""Start-up: ``import keyclave`` and ``keyclave --help`` against bare Python, as whole processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import row

CASES = {
    "bare": [sys.executable, "-c", "pass"],
    "import": [sys.executable, "-c", "import keyclave"],
    "help": [str(Path(sys.executable).with_name("keyclave")), "--help"],
}


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows. A first run of each leaves its bytecode behind, as an installation does."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for command in CASES.values():
        subprocess.run(command, check=True, capture_output=True, env=environment)
    samples: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(25):
        for name, command in CASES.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            samples[name].append((time.perf_counter() - started) * 1000)
    median = {name: statistics.median(values) for name, values in samples.items()}
    return [
        row("bare Python", median["bare"], "ms", "-", met=None),
        row("import keyclave", median["import"], "ms", "-", met=None),
        row("keyclave --help", median["help"], "ms", "<= 90", met=median["help"] <= 90),
    ]
