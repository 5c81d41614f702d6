"""The cost of a call through Keyclave to a backend that does nothing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import keyclave
from measure import interleave, row
from noop_plugin import install

CONFIG = """
[state]
directory = "{directory}"
[environment]
type = "local"
precedence = ["noop"]
[environment.audit]
enabled = false
[backends.noop]
plugin = "noop"
"""


def run() -> list[dict[str, Any]]:
    """Measure, and return the row."""
    with tempfile.TemporaryDirectory() as scratch:
        install(Path(scratch))
        sys.path.append(scratch)
        config = Path(scratch) / "keyclave.toml"
        config.write_text(CONFIG.format(directory=Path(scratch) / "state"))
        try:
            with keyclave.open(config) as clave:
                clave.keys.create("k", "ED25519")
                sign = clave.keys.sign
                samples = interleave({"sign": lambda: sign("k", b"message")}, number=20_000)
        finally:
            sys.path.remove(scratch)
    cost = min(samples["sign"]) * 1e6
    return [row("dispatch to a no-op backend, unaudited", cost, "us", "<= 1.5", met=cost <= 1.5)]
