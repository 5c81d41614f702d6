"""``keyclave tour``: the main job, with nothing of the user's touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave.cli.independent import find_verifier
from keyclave.cli.root import app
from keyclave.errors import InvalidSignature, VerificationError

PROGRAM = Path(sys.executable).with_name("keyclave")
MESSAGE = b"Sign me.\n"
STEPS = 10

# Stands for openssl: it writes down its arguments, checks nothing, and ends as it is told.
FAKE_OPENSSL = '#!/bin/sh\necho "$@" >> "$FAKE_LOG"\n[ "$1" = version ] && echo "FakeSSL 9" && exit 0\nexit {code}\n'


def tour(*arguments: str, code: int = 0, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["tour", *arguments], input=stdin)
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def path_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Path]:
    """Make a PATH with this program as its only openssl, or with none."""

    def make(openssl: str | None) -> Path:
        directory = tmp_path / "bin"
        directory.mkdir()
        if openssl is not None:
            program = directory / "openssl"
            program.write_text(openssl)
            program.chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(directory))
        monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
        return tmp_path / "log"

    return make


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program")
def test_openssl_verifies_what_keyclave_signed(tmp_path: Path) -> None:
    """The real program, on a real file."""
    Path("message").write_bytes(MESSAGE)
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [str(PROGRAM), "tour", "message"], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert done.stderr == ""
    assert len(re.findall(r"^\d+\. .+\n   (?:>>> |\$ ).+\n   .+ \(\d+\.\d ms\)$", done.stdout, re.MULTILINE)) == STEPS
    assert done.stdout.count("good, by version 1, says the openssl program (OpenSSL ") == 2
    assert "version 1 is DEPRECATED, version 2 is ACTIVE" in done.stdout
    assert "\x1b" not in done.stdout
    assert Path("message").read_bytes() == MESSAGE
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_of_the_user_is_touched(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings file nor any variable has a part in it, not even a wrong one."""
    Path("keyclave.toml").write_text("this is not TOML")
    monkeypatch.setenv("KEYCLAVE_STATE__DIRECTORY", str(tmp_path / "precious"))
    monkeypatch.setenv("KEYCLAVE_STATE__URL", f"sqlite:///{tmp_path}/precious.db")
    monkeypatch.setenv("KEYCLAVE_ENVIRONMENT__TYPE", "production")
    before = set(tmp_path.rglob("*"))
    tour()
    assert set(tmp_path.rglob("*")) == before


def test_cryptography_verifies_where_there_is_no_openssl(path_of: Callable[[str | None], Path]) -> None:
    path_of(None)
    Path("message").write_bytes(MESSAGE)
    answer = json.loads(tour("message", "--json").stdout)
    assert answer["verifier"] == "the cryptography library (there is no openssl program)"
    assert [step["result"].partition(", says ")[2] for step in answer["steps"] if "says" in step["result"]] == [
        answer["verifier"]
    ] * 2
    assert len(answer["steps"]) == STEPS
    assert all(step["milliseconds"] >= 0 and step["title"] and step["code"] for step in answer["steps"])


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_openssl_is_given_the_files_of_version_1(path_of: Callable[[str | None], Path]) -> None:
    log = path_of(FAKE_OPENSSL.format(code=0))
    Path("-message").write_bytes(MESSAGE)
    tour("--", "-message")
    version, first, second = log.read_text().splitlines()
    assert version == "version"
    assert first == second
    pattern = r"dgst -sha256 -verify /\S+/version-1\.pem -signature /\S+/version-1\.sig /\S+/-message"
    assert re.fullmatch(pattern, first)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_the_tour_fails_where_openssl_refuses(path_of: Callable[[str | None], Path], scratch: Path) -> None:
    path_of(FAKE_OPENSSL.format(code=1))
    result = tour(code=5)
    assert "4. Let somebody else verify it" in result.stdout
    assert "5. " not in result.stdout
    assert "the openssl program refuses the signature" in result.stderr
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_an_openssl_that_does_not_run_counts_as_none(path_of: Callable[[str | None], Path]) -> None:
    path_of("#!/bin/sh\nexit 127\n")
    assert "cryptography library" in tour().stdout


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_an_openssl_that_vanishes_says_nothing_about_the_signature(path_of: Callable[[str | None], Path]) -> None:
    path_of('#!/bin/sh\n/bin/rm "$0"\necho "FakeSSL 9"\n')
    assert "the openssl program does not answer" in tour(code=1).stderr


def test_only_what_is_asked_for_is_verified(path_of: Callable[[str | None], Path], scratch: Path) -> None:
    path_of(None)
    public_key = scratch / "pem"
    public_key.write_bytes(
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(VerificationError, match="not an elliptic curve key"):
        find_verifier().verify(public_key, public_key, public_key)


def test_cryptography_refuses_what_is_wrong(path_of: Callable[[str | None], Path], scratch: Path) -> None:
    """The stand-in for openssl must not be one that accepts everything."""
    path_of(None)
    key = ec.generate_private_key(ec.SECP256R1())
    public_key, signature, file = scratch / "pem", scratch / "sig", scratch / "file"
    public_key.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signature.write_bytes(key.sign(MESSAGE, ec.ECDSA(SHA256())))
    file.write_bytes(MESSAGE)
    find_verifier().verify(public_key, signature, file)
    file.write_bytes(MESSAGE + b".")
    with pytest.raises(InvalidSignature):
        find_verifier().verify(public_key, signature, file)


def test_the_file_may_be_standard_input(scratch: Path) -> None:
    assert "on standard-input" in tour("-", stdin=MESSAGE).stdout
    assert list(scratch.iterdir()) == []


def test_a_missing_file_is_wrong_usage(scratch: Path) -> None:
    assert "missing cannot be read" in tour("missing", code=2).stderr
    assert list(scratch.iterdir()) == []
