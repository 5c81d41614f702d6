"""Secrets in settings are known by the names of the settings, and those in files by the files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from keyclave_contract_tests.settings_secrets import is_choice, is_secret, secrets_of
from keyclave_contract_tests.sources import Installed
from pydantic import BaseModel, Field, SecretStr


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


def test_a_variable_stands_for_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSM_PIN", "918273")
    assert secrets_of({"pin_variable": "HSM_PIN"}) == (b"918273",)
    assert secrets_of({"pin_variable": "HSM_PIN_OF_NOBODY"}) == ()


class Source(StrEnum):
    """A choice."""

    FILE = "file"


class Settings(BaseModel):
    """Settings as a plugin may have them."""

    module: str
    slot: int
    token: str
    pin: str | int
    pin_file: Path | None = None
    pin_variable: str | None = None
    auth: SecretStr | None = None
    other: list[SecretStr] | None = Field(default=None, alias="second")
    login: dict[str, str] = {}
    credentials: Source = Source.FILE


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("module", "/usr/lib/acme.so", False),
        ("slot", 1, False),
        ("token", "contract", False),
        ("pin", "918273", True),
        ("pin", 918273, True),
        ("pin_variable", "HSM_PIN", False),
        ("auth", "typed as one", True),
        ("second", "typed as one", True),
        ("login", {"user": "alice"}, True),
        ("unknown", "x", True),
        ("credentials", "file", False),
    ],
)
def test_what_must_not_be_shown_is_told_by_name_and_type(name: str, value: object, secret: bool) -> None:  # noqa: FBT001
    assert is_secret(name, value, Settings) is secret


def test_the_path_of_a_secret_may_be_shown_unless_it_holds_the_secret(tmp_path: Path) -> None:
    for name, secret in (("file", False), ("file-918273", True)):
        (tmp_path / name).write_text("918273\n")
        assert is_secret("pin_file", str(tmp_path / name), Settings) is secret


def test_the_name_of_a_choice_makes_no_secret_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no-secret-of-anybody\n")
    settings = {"region": "eu-central-1", "credentials": "static", "secret_access_key_file": str(tmp_path / "secret")}
    assert Installed(plugin="aws", settings=settings).secrets() == (b"no-secret-of-anybody",)
    assert is_choice("credentials", Settings)
    assert not is_choice("pin", Settings)
