"""Encrypt without an audit log: the envelope against AES-256-GCM called directly."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import keyclave
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measure import interleave, ratio, row

CONFIG = """
[environment]
type = "local"
[state]
directory = "{directory}"
[environment.audit]
enabled = false
[backends.software]
plugin = "software"
"""


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "keyclave.toml"
        config.write_text(CONFIG.format(directory=Path(scratch) / "state"))
        with keyclave.open(config) as clave:
            clave.keys.create("k", "AES_256")
            for name, size, number in (("1 KiB", 1024, 200), ("1 MiB", 1024 * 1024, 10)):
                rows += _rows(clave, name, size, number)
    return rows


def _rows(clave: keyclave.Keyclave, name: str, size: int, number: int) -> list[dict[str, Any]]:
    plaintext, raw = bytes(size), AESGCM(AESGCM.generate_key(256))
    ciphertext = clave.keys.encrypt("k", plaintext)
    samples = interleave(
        {
            "raw": lambda: raw.encrypt(os.urandom(12), plaintext, None),
            "encrypt": lambda: clave.keys.encrypt("k", plaintext),
            "decrypt": lambda: clave.keys.decrypt("k", ciphertext),
        },
        number=number,
    )
    return [
        row(f"AES-256-GCM {name}, raw", min(samples["raw"]) * 1e6, "us", "-", met=None),
        row(f"encrypt {name} / raw", ratio(samples, "encrypt", "raw"), "x", "-", met=None),
        row(f"decrypt {name} / raw", ratio(samples, "decrypt", "raw"), "x", "-", met=None),
    ]
