"""Which keys a backend really has, by their labels, read without Keyclave."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["adopted_labels", "foreign_labels", "pkcs11_labels", "software_labels"]

_MAGIC = b"KCSWKEY1"
_LABEL = re.compile(r"^\s*label:\s+(\S+)\s*$", re.MULTILINE)


def software_labels(directory: Path) -> frozenset[str]:
    """Return the labels in the key files of the software backend: each begins with a magic and a JSON header."""
    found = set()
    for path in directory.glob("*.key"):
        content = path.read_bytes()
        if content.startswith(_MAGIC):
            start = len(_MAGIC) + 2
            length = int.from_bytes(content[start - 2 : start], "big")
            found.add(json.loads(content[start : start + length])["label"])
    return frozenset(found)


def foreign_labels(directory: Path) -> frozenset[str]:
    """Return the labels in the directory of the test plugin ``acme-foreign``, where a key may be bound to go."""
    return frozenset(
        path.read_text().partition(" ")[2]
        for path in directory.glob("*.label")
        if path.with_suffix(".pem").exists() and not path.with_suffix(".date").exists()
    )


def pkcs11_labels(module: Path, token: str, pin: str, environment: Mapping[str, str]) -> frozenset[str]:
    """Return the labels of the private keys in a token, as OpenSC's pkcs11-tool lists them."""
    command = ["pkcs11-tool", "--module", str(module), "--token-label", token, "--login", "--pin", pin]
    listed = subprocess.run(
        [*command, "--list-objects", "--type", "privkey"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return frozenset(_LABEL.findall(listed.stdout))


def adopted_labels(directory: Path) -> frozenset[str]:
    """Return the labels of adopted keys in the directory of a PKCS#11 backend: a JSON file for each."""
    return frozenset(json.loads(path.read_bytes())["label"] for path in directory.glob("adopted/keyclave-*.json"))
