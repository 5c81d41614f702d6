"""Start-up loads nothing that it does not need: no plugin, no database, no SDK, and for the package no pydantic."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAVY = frozenset(
    {"alembic", "cryptography", "msgspec", "opentelemetry", "sqlalchemy", "sqlite3", "stevedore", "tenacity"}
)
SDKS = frozenset(
    {"azure", "boto3", "botocore", "google", "keyring", "kubernetes", "lightkube", "pkcs11", "tpm2_pytss"}
)
SCRIPT = Path(sys.executable).with_name("keyclave.exe" if os.name == "nt" else "keyclave")

IMPORT = "import sys, keyclave; print('loaded', *sys.modules)"
HELP = f"""
import contextlib, io, runpy, sys
sys.argv = ["keyclave", "--help"]
try:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit as stopped:
    assert not stopped.code, stopped.code
assert "Usage" in shown.getvalue(), shown.getvalue()
print("loaded", *sys.modules)
"""


def _loaded(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after the code.

    Without the measurement of coverage, which would load packages of its own.
    """
    command = [sys.executable, "-I", "-c", code]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    word, *modules = result.stdout.split()
    assert word == "loaded"
    return {name.partition(".")[0] for name in modules}


def _plugins(packages: set[str]) -> set[str]:
    return {name for name in packages if name.startswith("keyclave_")}


def test_importing_the_package_loads_no_heavy_part() -> None:
    packages = _loaded(IMPORT)
    assert packages & (HEAVY | SDKS | {"click", "pydantic", "pydantic_settings", "rich"}) == set()
    assert _plugins(packages) == set()


def test_help_loads_no_heavy_part() -> None:
    packages = _loaded(HELP)
    assert packages & (HEAVY | SDKS | {"pydantic", "pydantic_settings"}) == set()
    assert _plugins(packages) == set()


def test_the_check_sees_what_is_loaded() -> None:
    assert _loaded("import sys, keyclave; keyclave.open; print('loaded', *sys.modules)") >= {"pydantic", "sqlalchemy"}
