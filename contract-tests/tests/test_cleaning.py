"""What a killed run left on a token is removed, half a key as well, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from keyclave_contract_tests.bench import JOURNAL
from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import Labels
from keyclave_pkcs11_hsm.places import place_of

from tests.services import softhsm
from tests.services.tokens import PIN, Token

MAKE_HALVES = """
import sys
import pkcs11

module, token, pin, *halves = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin, rw=True) as session:
    for half in halves:
        identifier, _, label = half.partition(" ")
        _, private = session.generate_keypair(
            pkcs11.KeyType.RSA, 2048, id=bytes.fromhex(identifier), label=label, store=True
        )
        private.destroy()
"""
LIST = """
import sys
import pkcs11

module, token, pin = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin) as session:
    for found in session.get_objects():
        print(found.label)
"""


@pytest.mark.needs("softhsm")
def test_a_sweep_removes_half_a_key_of_the_run(tmp_path: Path) -> None:
    token = softhsm.make_tokens(tmp_path, "contract")["contract"]
    label, other = Labels("0a1b2c3d").new(), Labels("ffffffff").new()
    _run(
        token,
        tmp_path,
        "-c",
        MAKE_HALVES,
        *_reach(token),
        *(f"{place_of(one).identifier.hex()} {one}" for one in (label, other)),
    )
    run = tmp_path / ".local" / "share" / "keyclave" / "contract" / "pkcs11-hsm" / "0a1b2c3d"
    run.mkdir(mode=0o700, parents=True)
    journal = Journal(run / JOURNAL)
    journal.planned(label)
    journal.close()

    settings = (f"module={token.module}", f"token={token.label}", f"pin_file={token.pin_file}")
    options = (part for text in settings for part in ("--set", text))
    swept = _run(token, tmp_path, "-m", "keyclave", "conform", "pkcs11-hsm", *options, "--sweep")
    assert swept == "0a1b2c3d: removed what was left of 1 key\n"
    assert _run(token, tmp_path, "-c", LIST, *_reach(token)).splitlines() == [str(other)]


def _reach(token: Token) -> tuple[str, ...]:
    return str(token.module), token.label, PIN


def _run(token: Token, home: Path, *arguments: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYCLAVE_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env={**kept, **token.environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
