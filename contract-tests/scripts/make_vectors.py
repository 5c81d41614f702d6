"""Make the package data of `keyclave_contract_tests.vectors`: 20 files of Wycheproof, from its Go module.

    python contract-tests/scripts/make_vectors.py

It needs Go, which checks what it downloads against the public checksum database. ``--module DIRECTORY`` takes an
unpacked module instead. Two runs write the same bytes, with one version of liblzma.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["FILES", "download", "pack"]

MODULE = "github.com/c2sp/wycheproof"
VERSION = "v0.0.0-20260902155932-3fa63dd0344a"
SUM = "h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c="
TARGET = Path(__file__).parents[1] / "src/keyclave_contract_tests/vectors"
FILES = (
    "rsa_pss_2048_sha256_mgf1_32",
    "rsa_pss_2048_sha384_mgf1_48",
    "rsa_pss_3072_sha256_mgf1_32",
    "rsa_pss_4096_sha384_mgf1_48",
    "rsa_pss_4096_sha512_mgf1_64",
    "rsa_signature_2048_sha256",
    "rsa_signature_3072_sha384",
    "rsa_signature_4096_sha512",
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp256r1_sha256_p1363",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp384r1_sha384_p1363",
    "ed25519",
    "rsa_oaep_2048_sha1_mgf1sha1",
    "rsa_oaep_2048_sha256_mgf1sha256",
    "rsa_oaep_3072_sha256_mgf1sha256",
    "rsa_oaep_4096_sha256_mgf1sha256",
    "aes_gcm",
    "aes_kwp",
    "aes_wrap",
)


def download() -> Path:
    """Return the directory of the module, which Go downloaded and checked; raise ``SystemExit`` if it is another."""
    command = ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603  constants only
    if found["Sum"] != SUM:
        raise SystemExit(f"{MODULE}@{VERSION} has the sum {found['Sum']}, not {SUM}")
    return Path(found["Dir"])


def pack(module: Path, target: Path) -> None:
    """Write the files, their manifest and their licence from a module into a directory, in place of older ones."""
    for old in target.glob("*.json.xz"):
        old.unlink()
    manifest = {
        "source": "https://github.com/C2SP/wycheproof",
        "module": MODULE,
        "version": VERSION,
        "sum": SUM,
        "commit": VERSION.rpartition("-")[2],
        "licence": "Apache-2.0",
        "files": [_pack_file(module / "testvectors_v1" / f"{name}_test.json", name, target) for name in FILES],
    }
    (target / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    (target / "LICENSE").write_bytes((module / "LICENSE").read_bytes())


def _pack_file(source: Path, name: str, target: Path) -> dict[str, Any]:
    content = source.read_bytes()
    (target / f"{name}.json.xz").write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return {
        "name": name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "tests": json.loads(content)["numberOfTests"],
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Make the test vectors of the contract suite from Wycheproof.")
    parser.add_argument("--module", type=Path, help="an unpacked module, instead of downloading it with Go")
    parser.add_argument("--target", type=Path, default=TARGET, help="the directory to write to")
    arguments = parser.parse_args()
    pack(arguments.module or download(), arguments.target)


if __name__ == "__main__":
    main()
