"""Secrets in settings are known by the names of the settings, and those in files by the files."""

from __future__ import annotations

from pathlib import Path

from keyclave_contract_tests.settings_secrets import secrets_of
from pydantic import SecretStr


def test_secrets_are_found_by_their_names_and_types() -> None:
    settings = {
        "slot": 1,
        "token": "my token",
        "url": "https://hsm.example",
        "pin": "918273",
        "login": {"passphrase": "open sesame", "user": "alice"},
        "anything": SecretStr("typed as one"),
        "api_key": b"bytes",
    }
    assert secrets_of(settings) == (b"918273", b"open sesame", b"typed as one", b"bytes")


def test_a_file_stands_for_its_content(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_bytes(b"918273\n")
    assert secrets_of({"pin_file": file, "key_file": str(file)}) == (b"918273",)
    assert secrets_of({"passphrase": "x" * 5000}) == (b"x" * 5000,)
