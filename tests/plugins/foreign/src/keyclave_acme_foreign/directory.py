"""A directory of keys: ``NAME.pem`` is an Ed25519 key, ``NAME.label`` says that it is Keyclave's, and since when.

A key without a label is foreign. Both kinds of change are one file that appears or goes, so a kill leaves no half.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from keyclave.errors import Conflict, InvalidArgument, KeyNotFound
from keyclave.plugin import KeyLabel

MADE, ADOPTED = "made", "adopted"


class Directory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self, label: KeyLabel) -> str:
        name = label.operation_id.hex
        self._write(name, label, MADE)
        if not self._key(name).exists():
            key = Ed25519PrivateKey.generate()
            self._key(name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return name

    def adopt(self, name: str, label: KeyLabel) -> None:
        if not self._key(name).exists():
            raise KeyNotFound("there is no such key")
        if self.label(name) not in (None, label):
            raise Conflict("it belongs to a Keyclave already", retryable=False)
        self._write(name, label, ADOPTED)

    def forget(self, name: str, label: KeyLabel) -> None:
        if self.label(name) != label:
            return
        if self._record(name)[0] == MADE:
            raise InvalidArgument("the key was created, not adopted")
        self._label(name).unlink(missing_ok=True)

    def destroy(self, name: str) -> None:
        self._key(name).unlink(missing_ok=True)
        self._label(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        return (path.stem for path in sorted(self._path.glob("*.pem")))

    def find(self, label: KeyLabel) -> str:
        name = next((name for name in self.names() if self.label(name) == label), None)
        if name is None:
            raise KeyNotFound("no key with this label")
        return name

    def label(self, name: str) -> KeyLabel | None:
        text = self._record(name)[1]
        return KeyLabel.parse(text) if text else None

    def load(self, name: str) -> Ed25519PrivateKey:
        key = load_pem_private_key(self._key(name).read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    def _record(self, name: str) -> tuple[str, str]:
        try:
            how, _, text = self._label(name).read_text().partition(" ")
        except FileNotFoundError:
            return "", ""
        return how, text

    def _write(self, name: str, label: KeyLabel, how: str) -> None:
        draft = self._path / f"{name}.draft"
        draft.write_text(f"{how} {label}")
        draft.replace(self._label(name))

    def _key(self, name: str) -> Path:
        return self._path / f"{name}.pem"

    def _label(self, name: str) -> Path:
        return self._path / f"{name}.label"
