"""Sign, verify and dispatch without an audit log, against ``cryptography`` called directly."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keyclave
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from measure import interleave, ratio, row

MESSAGE = b"a message of thirty-two bytes...."[:32]
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
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "keyclave.toml"
        config.write_text(CONFIG.format(directory=Path(scratch) / "state"))
        with keyclave.open(config) as clave:
            return [*_p256(clave), *_ed25519(clave)]


def _p256(clave: keyclave.Keyclave) -> list[dict[str, Any]]:
    clave.keys.create("p256", "ECDSA_P256")
    private, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    public, signature = clave.keys.public_key("p256"), clave.keys.sign("p256", MESSAGE).signature
    sign, verify = clave.keys.sign, clave.keys.verify
    samples = interleave(
        {
            "raw sign": lambda: private.sign(MESSAGE, algorithm),
            "sign": lambda: sign("p256", MESSAGE),
            "raw verify": lambda: public.verify(signature, MESSAGE, algorithm),
            "verify": lambda: verify("p256", MESSAGE, signature),
        },
        number=300,
        rounds=25,
    )
    return _rows("P-256", samples)


def _ed25519(clave: keyclave.Keyclave) -> list[dict[str, Any]]:
    clave.keys.create("ed25519", "ED25519")
    private = ed25519.Ed25519PrivateKey.generate()
    public, signature = clave.keys.public_key("ed25519"), clave.keys.sign("ed25519", MESSAGE).signature
    sign, verify = clave.keys.sign, clave.keys.verify
    samples = interleave(
        {
            "raw sign": lambda: private.sign(MESSAGE),
            "sign": lambda: sign("ed25519", MESSAGE),
            "raw verify": lambda: public.verify(signature, MESSAGE),
            "verify": lambda: verify("ed25519", MESSAGE, signature),
        },
        number=300,
        rounds=25,
    )
    return _rows("Ed25519", samples)


def _rows(name: str, samples: dict[str, list[float]]) -> list[dict[str, Any]]:
    signing, verifying = ratio(samples, "sign", "raw sign"), ratio(samples, "verify", "raw verify")
    overhead = min(samples["sign"]) - min(samples["raw sign"])
    return [
        row(f"{name} sign, unaudited / raw", signing, "x", "<= 1.05", met=signing <= 1.05),
        row(f"{name} verify, unaudited / raw", verifying, "x", "<= 1.02", met=verifying <= 1.02),
        row(f"{name} sign, overhead", overhead * 1e6, "us", "-", met=None),
    ]
