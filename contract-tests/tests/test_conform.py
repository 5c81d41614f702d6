"""``keyclave conform``, as a command."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.tests.services.foreign_keys import make_foreign_key

ROOT = Path(__file__).parents[2]
Conform = Callable[..., subprocess.CompletedProcess[str]]
FILES = {"contract-report.json", "contract-report.xml", "contract-report.html", "contract-badge.svg"}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYCLAVE_", "XDG_"))}
    return {**kept, "HOME": str(tmp_path / "home"), "COLUMNS": "120"}


@pytest.fixture
def conform(tmp_path: Path, home: dict[str, str]) -> Conform:
    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "keyclave", "conform", *arguments],
            cwd=tmp_path,
            env=home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_a_plan_is_printed_and_nothing_is_done(conform: Conform, tmp_path: Path) -> None:
    done = conform("software", "--dry-run")
    assert done.stdout.startswith("plan: ")
    assert "calls, about" in done.stdout
    assert not list((tmp_path / "home").rglob("*.key"))


def test_a_run_writes_its_reports_and_removes_its_keys(conform: Conform, tmp_path: Path) -> None:
    done = conform("software", "--budget", "smoke", "--report", "out", "--seed", "7")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    report = json.loads((tmp_path / "out" / "contract-report.json").read_text())
    assert (report["run"]["seed"], report["leftovers"], report["zoo"]["survivors"]) == (7, [], [])
    assert "not earned: the run was partial" in done.stdout
    runs = tmp_path / "home" / ".local" / "share" / "keyclave" / "contract" / "software"
    assert not runs.exists()


def test_the_report_goes_to_standard_output(conform: Conform) -> None:
    report = json.loads(conform("software", "--budget", "smoke", "--only", "^3-", "--json").stdout)
    assert report["run"]["partial"] is True
    assert {case["id"].partition("-")[0] for case in report["cases"] if case["state"] == "PASS"} == {"3"}


def test_a_baseline_shows_what_changed(conform: Conform) -> None:
    conform("software", "--budget", "smoke", "--only", "keys", "--report", "before")
    done = conform("software", "--budget", "smoke", "--only", "^1-", "--baseline", "before/contract-report.json")
    assert "NOT-RUN" in done.stdout


def test_a_plugin_is_configured_without_a_file(conform: Conform, tmp_path: Path) -> None:
    conform("software", "--set", f"keystore={tmp_path / 'keys'}", "--budget", "smoke", "--only", "^1-")
    assert (tmp_path / "keys").is_dir()


def test_a_simulator_is_accepted_without_a_file(conform: Conform) -> None:
    assert conform("software", "--set", "accept_simulator=true", "--dry-run").stdout.startswith("plan: ")


def test_the_settings_may_be_named_after_the_command(conform: Conform, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[backends.mine]\nplugin = "software"\n')
    assert conform("mine", "--config", "other.toml", "--dry-run").stdout.startswith("plan: ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere", "--dry-run"], "no installed distribution offers it"),
        (["software", "--set", "keystore"], "NAME=VALUE"),
        (["software", "--set", "colour=red", "--dry-run"], "--set colour: there is no such setting"),
        (["software", "--set", "accept_simulator=perhaps", "--dry-run"], "accept_simulator"),
        (["software", "--budget", "lavish"], "lavish"),
        (["software", "--ledger", "none.toml"], "ledger"),
        (["software", "--only", "["], "no regular expression"),
        (["software", "--only", "zzzz"], "matches no check"),
        (["software", "--report", "/dev/null"], "cannot be written"),
        (["software", "--baseline", "none.json"], "none.json"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    conform: Conform, arguments: list[str], problem: str
) -> None:
    done = conform(*arguments, code=4 if arguments[0] == "nowhere" else 2)
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["nowhere"], 4), (["software", "--set", "colour=red"], 2), (["software", "--dry-run"], 0)],
)
def test_a_run_that_does_not_start_leaves_no_directory(
    conform: Conform, tmp_path: Path, arguments: list[str], code: int
) -> None:
    conform(*arguments, "--report", "out", code=code)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "home").rglob("contract/*"))


def test_a_wrong_option_is_blamed_on_the_option(conform: Conform, tmp_path: Path) -> None:
    for text in ("colour=red", f"passphrase_file={tmp_path / 'none'}", "keystore=7"):
        refused = conform("software", "--set", text, "--dry-run", code=2).stderr
        assert text.partition("=")[0] in refused
        assert "[backends." not in refused
        assert "file in use" not in refused
    assert "Correct it with `--set NAME=VALUE`" in refused


def test_a_wrong_setting_of_a_file_is_blamed_on_the_file(conform: Conform, tmp_path: Path) -> None:
    (tmp_path / "keyclave.toml").write_text('[backends.software]\nplugin = "software"\ncolour = "red"\n')
    refused = conform("software", "--dry-run", code=2).stderr
    assert "[backends.software] colour: there is no such setting" in refused
    assert "--set" not in refused


def test_the_report_says_what_was_typed(conform: Conform, tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("open sesame 918273\n")
    (tmp_path / "phrase").chmod(0o600)
    typed = ["software", "--set", f"keystore={tmp_path / 'my keys'}", "--set", "passphrase_file=phrase"]
    options = ["--budget", "smoke", "--only", "^1-", "--product", "Acme 5", "--report", "out"]
    conform(*typed, *options)
    report = json.loads((tmp_path / "out" / "contract-report.json").read_text())
    command = report["run"]["command"]
    assert command == ["keyclave", "conform", *typed, *options, "--seed", str(report["run"]["seed"])]
    page = re.sub("<[^>]*>", "", (tmp_path / "out" / "contract-report.html").read_text())
    assert shlex.join(command) in html.unescape(page)
    for path in (tmp_path / "out").iterdir():
        assert b"918273" not in path.read_bytes()
    conform(*command[2:])


def test_the_help_says_exit_codes_and_shows_options(conform: Conform) -> None:
    told = conform("--help").stdout
    assert "Exit codes:\n    0  no check failed\n    1  a check failed" in told
    assert "keyclave conform pkcs11-hsm --set module=" in told


@pytest.fixture
def token_of_others(tmp_path: Path, home: dict[str, str]) -> Path:
    """The test plugin ``acme-foreign``, installed, and a directory with a key that no Keyclave made."""
    site, keys = tmp_path / "site", tmp_path / "keys"
    plugin = tmp_path / "plugin"
    shutil.copytree(ROOT / "tests" / "plugins" / "foreign", plugin)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, "--target", str(site), str(plugin)], check=True, capture_output=True, timeout=300)
    home["PYTHONPATH"] = str(site)
    make_foreign_key(keys)
    return keys


def test_a_token_with_keys_of_others_is_touched_only_where_that_was_said(
    conform: Conform, token_of_others: Path
) -> None:
    before = {path.name: path.read_bytes() for path in token_of_others.iterdir()}
    arguments = ("acme-foreign", "--set", f"keys={token_of_others}", "--budget", "smoke", "--only", "^1-")
    refused = conform(*arguments, code=6)
    assert "keys that no Keyclave made" in refused.stderr
    assert "--destructive" in refused.stderr
    assert {path.name: path.read_bytes() for path in token_of_others.iterdir()} == before
    conform(*arguments, "--destructive")
    assert (token_of_others / "theirs.pem").read_bytes() == before["theirs.pem"]


def test_a_run_that_is_told_to_end_ends_and_blames_nobody(
    conform: Conform, tmp_path: Path, home: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keyclave", "conform", "software", "--report", "out"],
        cwd=tmp_path,
        env=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    runs = tmp_path / "home" / ".local" / "share" / "keyclave" / "contract" / "software"
    deadline = time.monotonic() + 60
    while len(list(runs.rglob("*.key"))) < 3:
        assert process.poll() is None, "the run ended before it could be told to"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 143, complaint
    assert "FAIL" not in printed + complaint
    assert list((tmp_path / "out").iterdir()) == []
    assert not runs.exists()  # it cleaned up after itself


def test_the_product_is_named(conform: Conform) -> None:
    done = conform("software", "--budget", "smoke", "--only", "^1-", "--product", "Acme 5, firmware 7.2", "--json")
    assert json.loads(done.stdout)["target"]["product"] == "Acme 5, firmware 7.2"


def test_a_killed_run_is_swept(conform: Conform, tmp_path: Path, home: dict[str, str]) -> None:
    keystore = tmp_path / "keys"
    (tmp_path / "phrase").write_text("open sesame\n")
    (tmp_path / "phrase").chmod(0o600)
    (tmp_path / "keyclave.toml").write_text(
        f'[backends.mine]\nplugin = "software"\nkeystore = "{keystore}"\npassphrase_file = "phrase"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "keyclave", "conform", "mine"],
        cwd=tmp_path,
        env=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(keystore.glob("*.key"))) < 3:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "still going on" in conform("mine", "--sweep").stdout
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(keystore.glob("*.key"))
    assert "removed what was left" in conform("mine", "--sweep").stdout
    assert not list(keystore.glob("*.key"))
    assert "no run left anything" in conform("mine", "--sweep").stdout


def test_a_sweep_without_runs_tries_the_settings(conform: Conform, tmp_path: Path) -> None:
    for name, secret in (("right", "open sesame"), ("wrong", "open barley")):
        (tmp_path / name).write_text(f"{secret}\n")
        (tmp_path / name).chmod(0o600)
    arguments = ("software", "--set", f"keystore={tmp_path / 'keys'}", "--sweep", "--set")
    assert "no run left anything in " in conform(*arguments, "passphrase_file=right").stdout
    refused = conform(*arguments, "passphrase_file=wrong", code=2)
    assert "passphrase" in refused.stderr
    assert not refused.stdout
    assert not list((tmp_path / "home").rglob("contract/*"))
