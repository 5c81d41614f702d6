"""A signature is verified on a machine where the plugin of its backend is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("keyclave"))
SIGN = """
import sys, keyclave
with keyclave.open(sys.argv[1]) as clave:
    clave.keys.create("k", "ED25519", backend="acme")
    open(sys.argv[2], "wb").write(clave.keys.sign("k", b"message").signature)
"""


def test_a_signature_is_verified_without_the_plugin(sites: Mapping[str, Path], config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '\n[backends.acme]\nplugin = "acme"\n')
    signature, file = tmp_path / "signature", tmp_path / "file"
    file.write_bytes(b"message")
    installed = os.environ | {"PYTHONPATH": str(sites["acme"])}
    subprocess.run([sys.executable, "-c", SIGN, str(config), str(signature)], env=installed, check=True)

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([PROGRAM, "--config", str(config), *arguments], capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    assert run("keys", "verify", "k", str(file), str(signature)) == (0, "Good signature by version 1 of 'k'.\n")
    assert run("keys", "public-key", "k")[1].startswith("-----BEGIN PUBLIC KEY-----\n")
    code, said = run("keys", "sign", "k", str(file), "-o", str(tmp_path / "again"))
    assert code == 4
    assert "acme" in said
    file.write_bytes(b"another message")
    assert run("keys", "verify", "k", str(file), str(signature))[0] == 5
