"""One table: which error ends the program with which code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result
from keyclave import errors
from keyclave.audit.log import StaleKey
from keyclave.cli.exit_codes import CODES, MEANINGS, ExitCode, exit_code_of
from keyclave.cli.failures import failure_of
from keyclave.cli.root import app

DOCUMENTED = {
    "KeyclaveError": 1,
    "InvalidArgument": 2,
    "ConfigurationError": 2,
    "PluginError": 4,
    "PluginConflict": 4,
    "PluginLoadError": 4,
    "ContractMismatch": 4,
    "BackendError": 1,
    "BackendUnavailable": 4,
    "Throttled": 4,
    "DeadlineExceeded": 4,
    "AccessDenied": 6,
    "AuthenticationFailed": 2,
    "CapabilityUnsupported": 1,
    "OutcomeUnknown": 1,
    "KeyStateError": 3,
    "KeyNotFound": 3,
    "KeyAlreadyExists": 3,
    "KeyDisabled": 3,
    "Conflict": 3,
    "InvalidSignature": 5,
    "VerificationError": 1,
    "DecryptionFailed": 5,
    "IntegrityError": 7,
    "PolicyViolation": 6,
    "StateUnavailable": 1,
    "AuditUnavailable": 7,
}


def test_the_table_is_complete() -> None:
    assert {cls.__name__ for cls in CODES} == set(errors.__all__)


def test_every_error_has_its_documented_code() -> None:
    assert {name: exit_code_of(getattr(errors, name)("x")).value for name in errors.__all__} == DOCUMENTED


def test_an_error_of_a_service_has_the_code_of_its_kind() -> None:
    assert exit_code_of(StaleKey("x")) is ExitCode.KEY


def test_every_code_is_explained_in_the_help() -> None:
    assert set(MEANINGS) == set(ExitCode)
    lines = [line.strip() for line in CliRunner().invoke(app, ["--help"]).output.splitlines()]
    for code, meaning in MEANINGS.items():
        assert f"{code.value:<4} {meaning}" in lines


def test_a_failure_for_a_machine_has_everything() -> None:
    error = errors.Throttled("slow down", operation="sign", backend_id="hsm", key_name="k")
    shown = json.loads(failure_of(error, for_json=True).as_json())["error"]
    assert shown == {
        "type": "Throttled",
        "message": "slow down",
        "exit_code": 4,
        "next_step": "Wait for retry_after seconds, then repeat the call.",
        "operation": "sign",
        "backend_id": "hsm",
        "key_name": "k",
        "retryable": True,
        "provider_reference": None,
    }


def test_a_failure_for_a_human_has_a_next_step() -> None:
    error = errors.KeyNotFound("no such key", operation="sign", key_name="k")
    lines = failure_of(error, for_json=False).as_text().splitlines()
    assert lines == ["Error: sign key 'k': no such key", f"Next: {errors.KeyNotFound.default_next_step}"]


def test_a_defect_shows_its_place_and_not_its_text() -> None:
    try:
        Path("/").joinpath(b"hunter2")  # type: ignore[arg-type]  # wrong on purpose
    except TypeError as error:
        caught = error
        caught.args = ("hunter2",)
    failure = failure_of(caught, for_json=False)
    assert failure.code == 1
    assert "TypeError at pathlib" in failure.message
    assert "hunter2" not in failure.as_text() + failure.as_json()


REACHED = {
    0: ("keys", "verify", "k", "file", "sig"),
    1: ("keys", "public-key", "aes"),
    2: ("keys", "show", "No Name"),
    3: ("keys", "show", "missing"),
    4: ("keys", "create", "n", "--algorithm", "ED25519", "--backend", "hsm"),
    5: ("keys", "verify", "k", "other", "sig"),
    6: ("keys", "destroy", "k", "--version", "1", "--yes"),
    7: ("keys", "encrypt", "aes", "file", "-o", "out"),
}


def test_every_code_is_reached(run: Callable[..., Result], config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '\n[backends.hsm]\nplugin = "no-such-plugin"\n')
    Path("file").write_bytes(b"content")
    Path("other").write_bytes(b"other content")
    run("keys", "create", "aes", "--algorithm", "AES_256")
    (file,) = (path for path in (tmp_path / "state" / "backends").rglob("*.key") if len(path.stem) == 32)
    *content, last = file.read_bytes()
    file.write_bytes(bytes((*content, last ^ 1)))
    run("keys", "create", "k", "--algorithm", "ECDSA_P256")
    run("keys", "sign", "k", "file", "-o", "sig")
    run("keys", "rotate", "k")
    assert sorted(REACHED) == [code for code in MEANINGS if code < 100]
    for code, arguments in REACHED.items():
        said = run(*arguments, code=code)
        answer = run(*arguments, "--json", code=code)
        if code:
            assert said.stderr.startswith("Error: ")
            assert json.loads(answer.stderr)["error"]["exit_code"] == code
        else:
            assert json.loads(answer.stdout)["version"] == 1


def test_an_interruption_has_its_own_code() -> None:
    interrupted = failure_of(KeyboardInterrupt(), for_json=False)
    assert interrupted.code == 130
    assert "keyclave recover" in (interrupted.next_step or "")
