"""Which keys a backend really has, by their labels, read without Keyclave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["adopted_labels", "foreign_labels", "pkcs11_labels", "software_labels"]

_MAGIC = b"KCSWKEY1"
_LISTING = """\
import json, sys
import pkcs11
from pkcs11.constants import Attribute, ObjectClass

module, token, pin = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin) as session:
    keys = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))
    print(json.dumps([key.label for key in keys if key[Attribute.EC_PARAMS]]))
"""


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
    """Return the labels of the EC keys in a token, listed by a process of its own.

    An object without parameters is none: SoftHSM2 writes the value of a key after everything else, and a process that
    was killed in between leaves an object of no use, which the next key of this label replaces.
    """
    ran = subprocess.run(
        [sys.executable, "-c", _LISTING, str(module), token, pin],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return frozenset(json.loads(ran.stdout))


def adopted_labels(directory: Path) -> frozenset[str]:
    """Return the labels of adopted keys in the directory of a PKCS#11 backend: a JSON file for each."""
    return frozenset(json.loads(path.read_bytes())["label"] for path in directory.glob("adopted/keyclave-*.json"))
