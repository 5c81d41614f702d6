"""What the policy refuses, as somebody sees it who works with the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.tests.cli.conftest import Run

ACME = '[backends.vault]\nplugin = "acme"\n'


@pytest.fixture
def configured(config: Path) -> Callable[..., None]:
    """Change the settings: what is in them becomes something else, and something is added."""

    def configure(change: tuple[str, str], *added: str) -> None:
        config.write_text(config.read_text().replace(*change) + "\n" + "".join(added))

    return configure


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "file"
    made.write_bytes(b"message")
    return str(made)


def test_fr_014_production_without_an_hsm_refuses_and_says_what_to_do(
    run: Run, configured: Callable[..., None]
) -> None:
    configured(('"local"', '"production"'))
    for arguments in ((), ("--backend", "software")):
        refused = run("keys", "create", "k", "--algorithm", "ED25519", *arguments, code=6)
        assert "its level is SOFTWARE, and HSM is required (FR-014)" in refused.stderr
        assert "Configure a backend that the policy takes" in refused.stderr
    explained = run("backends", "select", "--explain", code=6).stdout
    assert "Chosen: none" in explained
    assert "  refused: its level is SOFTWARE, and HSM is required (FR-014)" in explained
    assert run("keys", "list").stdout == ""


def test_fr_014_production_takes_no_software_level_for_less(run: Run, configured: Callable[..., None]) -> None:
    configured(('"local"', '"production"\nrequired_level = "SOFTWARE"'))
    assert "FR-014" in run("backends", "select", code=2).stderr


def test_fr_021_no_other_backend_takes_an_existing_key(
    run: Run, configured: Callable[..., None], file: str, tmp_path: Path
) -> None:
    run("keys", "create", "k", "--algorithm", "ED25519")
    signature = tmp_path / "signature"
    run("keys", "sign", "k", file, "-o", str(signature))
    configured(("[backends.software]", "[backends.another]"))
    assert "Chosen: another" in run("backends", "select").stdout
    for arguments in (("sign", "k", file, "-o", str(tmp_path / "again")), ("rotate", "k", "--now")):
        refused = run("keys", *arguments, code=4)
        assert "backend 'software'" in refused.stderr
        assert "Configure [backends.software]" in refused.stderr
    refused = run("keys", "create", "k", "--algorithm", "ED25519", "--backend", "another", code=3)
    assert "a key of this name exists" in refused.stderr
    run("keys", "verify", "k", file, str(signature))
    configured(("[backends.another]", "[backends.software]"))
    run("keys", "sign", "k", file, "-o", str(tmp_path / "again"))


@pytest.mark.filterwarnings("default:FR-023")
@pytest.mark.parametrize("environment", ["local", "production"])
def test_fr_023_an_api_key_is_a_warning_or_a_refusal_that_explain_shows(
    run: Run, configured: Callable[..., None], installed: Callable[..., None], environment: str
) -> None:
    installed("acme")
    configured(
        ('"local"', f'"{environment}"\nprecedence = ["acme"]'), ACME, 'level = "HSM"\nauthentication = "API_KEY"\n'
    )
    if environment == "production":
        explained = run("backends", "select", "--explain", code=6).stdout
        assert "refused: FR-023: authentication_method should be another one than API_KEY in production" in explained
        return
    said = run("backends", "select", "--explain")
    assert "FR-023: authentication_method should be another one than API_KEY; vault uses API_KEY" in said.stderr
    assert "  it authenticates by API_KEY, with a warning: that should be another one than API_KEY" in said.stdout
    assert "  taken: " in said.stdout
