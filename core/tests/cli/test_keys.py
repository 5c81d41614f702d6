"""``keyclave keys``, against the real software backend. Signatures are checked by ``cryptography`` alone."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from keyclave.cli import output, rotation
from keyclave.errors import StateUnavailable
from keyclave.services.results import DueReport
from keyclave.services.rotation.service import RotationService

from core.tests.services.foreign_keys import URI, foreign_settings, make_foreign_key
from core.tests.services.long_ago import long_ago

Run = Callable[..., Result]
MESSAGE = b"What the file says.\n"


@pytest.fixture
def file() -> Path:
    path = Path("message.txt")
    path.write_bytes(MESSAGE)
    return path


@pytest.fixture
def key(run: Run) -> str:
    run("keys", "create", "k", "--algorithm", "ECDSA_P256")
    return "k"


def public_key(run: Run, *options: str) -> ec.EllipticCurvePublicKey:
    loaded = serialization.load_pem_public_key(run("keys", "public-key", "k", *options).stdout_bytes)
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    return loaded


def test_the_main_job(run: Run, key: str, file: Path) -> None:
    said = run("keys", "sign", key, str(file), "-o", "first.sig").stdout
    assert said == "Signed by version 1 of 'k' (ECDSA_SHA256); the signature is in first.sig.\n"
    first = Path("first.sig").read_bytes()
    public_key(run).verify(first, MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert "Version 2 of 'k' is active." in run("keys", "rotate", key).stdout
    run("keys", "sign", key, str(file), "-o", "second.sig")
    second = Path("second.sig").read_bytes()
    public_key(run).verify(second, MESSAGE, ec.ECDSA(hashes.SHA256()))
    public_key(run, "--version", "1").verify(first, MESSAGE, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public_key(run, "--version", "2").verify(first, MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert run("keys", "verify", key, str(file), "first.sig").stdout == "Good signature by version 1 of 'k'.\n"
    assert json.loads(run("keys", "verify", key, str(file), "second.sig", "--json").stdout)["version"] == 2


def test_a_wrong_signature_ends_with_5(run: Run, key: str, file: Path) -> None:
    run("keys", "sign", key, str(file), "-o", "sig")
    file.write_bytes(MESSAGE + b".")
    result = run("keys", "verify", key, str(file), "sig", code=5)
    assert result.stdout == ""
    assert result.stderr.splitlines()[1].startswith("Next: Do not trust the data.")
    run("keys", "verify", key, str(file), "sig", "--version", "1", code=5)


def test_a_signature_goes_to_standard_output_without_o(run: Run, key: str, file: Path) -> None:
    signature = run("keys", "sign", key, str(file)).stdout_bytes
    public_key(run).verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_a_signature_is_in_the_json_answer_without_o(run: Run, key: str, file: Path) -> None:
    answer = json.loads(run("keys", "sign", key, str(file), "--json").stdout)
    public_key(run).verify(base64.b64decode(answer["signature"]), MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert answer["audit_reference"].startswith("urn:keyclave:audit:")
    assert (answer["version"], answer["scheme"], answer["backend_id"]) == (1, "ECDSA_SHA256", "software")


def test_with_json_and_o_only_the_file_has_the_signature(run: Run, key: str, file: Path) -> None:
    answer = json.loads(run("keys", "sign", key, str(file), "-o", "sig", "--json").stdout)
    assert answer["output"] == "sig"
    assert "signature" not in answer
    public_key(run).verify(Path("sig").read_bytes(), MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_files_may_be_standard_input(run: Run, key: str, file: Path) -> None:
    signature = run("keys", "sign", key, "-", stdin=MESSAGE).stdout_bytes
    run("keys", "verify", key, str(file), "-", stdin=signature)
    Path("sig").write_bytes(signature)
    run("keys", "verify", key, "-", "sig", stdin=MESSAGE)
    run("keys", "verify", key, "-", "sig", stdin=MESSAGE + b".", code=5)
    assert "cannot both be" in run("keys", "verify", key, "-", "-", stdin=MESSAGE, code=2).stderr


def test_a_scheme_may_be_chosen(run: Run, file: Path) -> None:
    run("keys", "create", "r", "--algorithm", "RSA_2048")
    signature = run("keys", "sign", "r", str(file), "--scheme", "RSA_PKCS1_SHA384").stdout_bytes
    loaded = serialization.load_pem_public_key(run("keys", "public-key", "r").stdout_bytes)
    assert isinstance(loaded, rsa.RSAPublicKey)
    loaded.verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA384())
    run("keys", "verify", "r", str(file), "-", "--scheme", "RSA_PKCS1_SHA384", stdin=signature)
    run("keys", "verify", "r", str(file), "-", stdin=signature, code=5)
    assert "RSA_PSS_SHA256" in run("keys", "sign", "r", str(file), "--scheme", "X", code=2).stderr


def test_create_list_and_show_agree(run: Run) -> None:
    assert run("keys", "list").stdout == ""
    assert json.loads(run("keys", "list", "--json").stdout) == []
    created = json.loads(
        run("keys", "create", "b", "--algorithm", "ED25519", "--backend", "software", "--json").stdout
    )
    run("keys", "create", "a", "--algorithm", "AES_256")
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [handle["name"] for handle in listed] == ["a", "b"]
    assert listed[1] == created
    assert json.loads(run("keys", "show", "b", "--json").stdout) == [created]
    assert [line.split("\t")[:4] for line in run("keys", "list").stdout.splitlines()] == [
        ["a", "AES_256", "1", "ACTIVE"],
        ["b", "ED25519", "1", "ACTIVE"],
    ]
    shown = run("keys", "show", "b").stdout
    assert created["key_id"] in shown
    assert created["provider_uri"] in shown


def test_an_empty_list_says_so_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    assert run("keys", "list").stdout == run("recover", "--list").stdout == "There are none.\n"


def test_a_public_key_in_json_names_its_version(run: Run, key: str) -> None:
    run("keys", "rotate", key)
    for options, version in (((), 2), (("--version", "1"), 1)):
        answer = json.loads(run("keys", "public-key", key, *options, "--json").stdout)
        assert (answer["name"], answer["version"]) == (key, version)
        assert answer["public_key"].encode() == run("keys", "public-key", key, *options).stdout_bytes


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "k", "--algorithm", "ED25519"), 3, "exists"),
        (("create", "K", "--algorithm", "ED25519"), 2, "not a key name"),
        (("create", "n", "--algorithm", "DES"), 2, "ECDSA_P256"),
        (("create", "n", "--algorithm", "ED25519", "--backend", "hsm"), 2, "hsm"),
        (("show", "missing"), 3, "keyclave keys list"),
        (("rotate", "missing"), 3, "missing"),
        (("public-key", "k", "--version", "9"), 3, "k"),
        (("sign", "k", "missing.txt"), 2, "missing.txt cannot be read"),
        (("sign", "k", "."), 2, ". cannot be read"),
        (("verify", "k", "message.txt", "missing.sig"), 2, "missing.sig cannot be read"),
        (("encrypt", "k", "message.txt", "-o", "out"), 2, "AES_256"),
        (("destroy", "k", "--version", "1", "--yes"), 3, "ACTIVE"),
        (("revoke", "k", "--reason", " ", "--yes"), 2, "reason"),
    ],
)
def test_what_cannot_be_done_is_explained(
    run: Run, key: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    Path("message.txt").write_bytes(MESSAGE)
    result = run("keys", *arguments, code=code)
    assert result.stdout == ""
    error, next_step = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert next_step.startswith("Next: ")
    assert said in result.stderr
    failure = json.loads(run("keys", *arguments, "--json", code=code).stderr)["error"]
    assert failure["exit_code"] == code
    assert failure["next_step"]


def test_a_signature_that_is_too_long_is_not_read(run: Run, key: str, file: Path) -> None:
    Path("sig").write_bytes(bytes(64 * 1024 + 1))
    assert "longer than 65536 bytes" in run("keys", "verify", key, str(file), "sig", code=2).stderr


def test_a_symmetric_key_has_no_public_key(run: Run) -> None:
    run("keys", "create", "a", "--algorithm", "AES_256")
    assert "no public key" in run("keys", "public-key", "a", code=1).stderr


def test_revoke_and_destroy_need_a_confirmation(run: Run, key: str, file: Path) -> None:
    for arguments in (("revoke", key, "--reason", "lost"), ("destroy", key, "--version", "1")):
        assert "Next: Add --yes" in run("keys", *arguments, stdin="y\n", code=2).stderr
    assert json.loads(run("keys", "show", key, "--json").stdout)[0]["status"] == "ACTIVE"
    run("keys", "sign", key, str(file), "-o", "sig")
    assert run("keys", "revoke", key, "--reason", "lost", "--yes").stdout == "Version 1 of 'k' is revoked.\n"
    run("keys", "sign", key, str(file), code=3)
    run("keys", "verify", key, str(file), "sig", code=3)
    assert "is destroyed as of" in run("keys", "destroy", key, "--version", "1", "--yes").stdout
    assert json.loads(run("keys", "show", key, "--json").stdout)[0]["destroyed_at"]


@pytest.fixture
def shared(config: Path, tmp_path: Path, installed: Callable[..., None]) -> None:
    """A backend with a key that somebody else made."""
    installed("foreign")
    make_foreign_key(tmp_path / "shared")
    config.write_text(config.read_text() + foreign_settings(tmp_path / "shared"))


@pytest.mark.usefixtures("shared")
def test_a_key_of_somebody_else_is_listed_and_adopted(run: Run, tmp_path: Path) -> None:
    assert run("keys", "adoptable", "--backend", "shared").stdout == f"ED25519\t{URI}\tfile theirs\n"
    (listed,) = json.loads(run("keys", "adoptable", "--backend", "shared", "--json").stdout)
    assert (listed["uri"], listed["algorithm"], listed["description"]) == (URI, "ED25519", "file theirs")
    said = run("keys", "adopt", "theirs", URI, "--backend", "shared", "--algorithm", "ED25519").stdout
    assert said == "Adopted ED25519 key 'theirs', version 1, in backend 'shared'.\n"
    pem = json.loads(run("keys", "public-key", "theirs", "--json").stdout)["public_key"]
    assert "".join(pem.splitlines()[1:-1]) == listed["public_key"]
    assert run("keys", "adoptable", "--backend", "shared").stdout == ""
    assert run("audit", "list", "--operation", "ADOPT").stdout.count("SUCCESS") == 1
    assert "adoptable --backend shared" in run("keys", "adopt", "k", URI, "--backend", "shared", code=3).stderr
    assert "does not adopt keys" in run("keys", "adopt", "k", URI, "--backend", "software", code=1).stderr
    run("keys", "revoke", "theirs", "--reason", "over", "--yes")
    run("keys", "destroy", "theirs", "--version", "1", "--yes")
    assert not (tmp_path / "shared" / "theirs.pem").exists()


def test_the_question_before_a_destruction_says_that_an_adopted_key_goes_too(
    run: Run, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyclave.cli.session.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    asked = run("keys", "destroy", key, "--version", "1", stdin="n\n", code=130)
    assert "in its backend, even if it was adopted? This cannot be undone," in asked.stderr


def test_both_versions_sign_until_one_is_promoted_or_rolled_back(
    run: Run, config: Path, key: str, file: Path
) -> None:
    config.write_text(config.read_text().replace('validation_period = "0s"', 'validation_period = "1h"'))
    run("keys", "create", "other", "--algorithm", "ED25519")
    said = run("keys", "rotate", "other").stdout
    assert said.startswith("Version 2 of 'other' signs beside the active one, and takes over on 20")
    signed = json.loads(run("keys", "sign", "other", str(file), "--json").stdout)
    assert (signed["version"], signed["successor"]["version"]) == (1, 2)
    lines = run("keys", "sign", "other", str(file), "-o", "sig").stdout.splitlines()
    assert lines[1:] == ["Version 2, which is to follow, signed as well; --json shows both."]
    for made in (signed, signed["successor"]):
        Path("sig").write_bytes(base64.b64decode(made["signature"]))
        assert f"by version {made['version']} of" in run("keys", "verify", "other", str(file), "sig").stdout
    assert "version 2 of it is under validation" in run("keys", "rotate", "other", code=3).stderr
    said = run("keys", "rollback", "other", "--reason", "test").stdout
    assert said == "Version 1 of 'other' stays active.\n"
    assert "Version 3 of 'other' is active." in run("keys", "rotate", "other", "--now").stdout
    assert "no version of it is under validation" in run("keys", "promote", "other", code=3).stderr
    run("keys", "rotate", "other", "--now", "--validation-period", "1h", code=2)
    assert "is no time: write 7d" in run("keys", "rotate", "other", "--validation-period", "soon", code=2).stderr
    run("keys", "rotate", "other", "--algorithm", "ECDSA_P384")
    shown = run("keys", "show", "other").stdout.splitlines()
    assert shown[0].startswith("Key 'other', ED25519, ")
    *_, active, pending = ([*line.split("\t")[1:3], *line.split("\t")[7:9]] for line in shown)
    assert (active[:2], active[3]) == (["ACTIVE", "ED25519"], "-")
    assert (pending[:3], pending[3][:2]) == (["PENDING", "ECDSA_P384", "-"], "20")
    assert run("keys", "promote", "other").stdout == "Version 4 of 'other' is active.\n"
    assert json.loads(run("keys", "show", "other", "--json").stdout)[-1]["algorithm"] == "ECDSA_P384"
    refused = run("keys", "rotate", "other", "--algorithm", "AES_256", code=2).stderr
    assert "a key of algorithm ECDSA_P384 cannot become one of algorithm AES_256" in refused
    kept = [
        (line.split("\t")[1], line.split("\t")[10]) for line in run("keys", "show", "other").stdout.splitlines()[2:]
    ]
    assert [(status, until[:2]) for status, until in kept] == [
        ("DEPRECATED", "20"),
        ("REVOKED", "-"),
        ("DEPRECATED", "20"),
        ("ACTIVE", "-"),
    ]


def test_what_is_due_is_rotated(run: Run, key: str) -> None:
    assert run("keys", "rotate-due").stdout.startswith("Nothing is destroyed by its age: the clock is looked at")
    with long_ago():
        run("keys", "create", "old", "--algorithm", "ED25519")
    assert run("keys", "rotate-due").stdout == "Version 2 of 'old' is active.\n"
    report = json.loads(run("keys", "rotate-due", "--json").stdout)
    assert report == {"rotated": [], "recovered": 0, "destroyed": [], "failed": [], "suspended": None}
    assert run("keys", "confirm-clock").stdout.startswith("The clock is trusted from 20")
    assert json.loads(run("keys", "show", key, "--json").stdout)[-1]["version"] == 1


def test_a_watch_outlives_a_database_that_is_away_for_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_EVERY", 0)
    real, before = RotationService.run_due, signal.getsignal(signal.SIGTERM)
    failures = iter([StateUnavailable("the server is restarting")])

    def away_at_first(service: RotationService) -> DueReport:
        for failure in failures:
            raise failure
        signal.raise_signal(signal.SIGTERM)
        return real(service)

    monkeypatch.setattr(RotationService, "run_due", away_at_first)
    try:
        watched = run("keys", "rotate-due", "--watch")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "what is due is not done yet: the server is restarting" in watched.stderr
    assert watched.stdout.startswith("Nothing is destroyed by its age")


def test_what_changes_a_key_answers_with_its_versions(run: Run, key: str) -> None:
    rotated = json.loads(run("keys", "rotate", key, "--json").stdout)
    assert (rotated["version"], rotated["status"]) == (2, "ACTIVE")
    revoked = json.loads(run("keys", "revoke", key, "--reason", "lost", "--yes", "--json").stdout)
    assert [(v["version"], v["status"]) for v in revoked] == [(1, "REVOKED"), (2, "REVOKED")]
    destroyed = json.loads(run("keys", "destroy", key, "--version", "2", "--yes", "--json").stdout)
    assert destroyed["version"] == 2
    assert destroyed["destroyed_at"]
    assert json.loads(run("keys", "show", key, "--json").stdout) == [revoked[0], destroyed]


def test_a_wrappable_key_says_so(run: Run) -> None:
    run("keys", "create", "e", "--algorithm", "ED25519", "--wrappable")
    assert "Wrappable: yes. Exportable: yes. In an HSM: no." in run("keys", "show", "e").stdout


def test_a_scheduled_destruction_is_called_off(
    run: Run, config: Path, tmp_path: Path, installed: Callable[..., None]
) -> None:
    installed("foreign")
    config.write_text(config.read_text() + foreign_settings(tmp_path / "shared", deletion_days="7"))
    run("keys", "create", "k", "--algorithm", "ED25519", "--backend", "shared")
    run("keys", "revoke", "k", "--reason", "lost", "--yes")
    said = run("keys", "destroy", "k", "--version", "1", "--yes").stdout
    assert said.endswith("Until then `keyclave keys cancel-destruction` calls it off.\n")
    said = run("keys", "cancel-destruction", "k", "--version", "1").stdout
    assert said == "The destruction of version 1 of 'k' is called off. It is REVOKED.\n"
    assert json.loads(run("keys", "show", "k", "--json").stdout)[0]["destroyed_at"] is None
    assert "is scheduled" in run("keys", "cancel-destruction", "k", "--version", "1", code=3).stderr
    run("keys", "destroy", "k", "--version", "1", "--yes")
    answer = json.loads(run("keys", "cancel-destruction", "k", "--version", "1", "--json").stdout)
    assert (answer["version"], answer["destroyed_at"]) == (1, None)
    assert run("audit", "list", "--operation", "CANCEL_DESTRUCTION").stdout.count("SUCCESS") == 2
