"""Who may import whom: the rules hold, cover every part, and are seen to be broken when they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in CONFIG["contracts"]}
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/src/*/__init__.py"))
SEEN_BY_PLUGINS = {"crypto", "errors", "models", "plugin"}

VIOLATIONS = {
    "layers": ("keyclave/models/levels.py", "import keyclave.services.names"),
    "plugins": ("keyclave_software/plugin.py", "import keyclave.settings"),
    "contract-tests": ("keyclave_contract_tests/__init__.py", "import keyclave.state.store"),
    "not-the-application": ("keyclave_software/settings.py", "from keyclave import open"),
    "not-the-application-either": ("keyclave_contract_tests/labels.py", "from keyclave import open"),
    "core-without-plugins": ("keyclave/app.py", "import keyclave_software"),
    "stevedore": ("keyclave/backends/catalog.py", "import stevedore"),
    "tenacity": ("keyclave/backends/calls.py", "import tenacity"),
    "pluggy": ("keyclave/services/names.py", "import pluggy"),
}
SIBLING_VIOLATION = ("keyclave/audit/chain.py", "import keyclave.crypto.encodings")


def _lint(tree: Path) -> str:
    """Run the linter over a tree of packages, and return what it prints."""
    (tree / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200", "NO_COLOR": "1"}
    result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in [*ROOT.glob("core/src/*"), *ROOT.glob("plugins/*/src/*"), *ROOT.glob("contract-tests/src/*")]:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _outcome(report: str, name: str) -> str:
    found = re.search(rf"{re.escape(CONTRACTS[name]['name'])}\W+(KEPT|BROKEN)", report)
    assert found, report
    return found[1]


def test_every_contract_is_kept(tree: Path) -> None:
    report = _lint(tree)
    assert {name: _outcome(report, name) for name in CONTRACTS} == dict.fromkeys(CONTRACTS, "KEPT")


def test_every_contract_can_be_broken(tree: Path) -> None:
    for path, line in VIOLATIONS.values():
        with (tree / path).open("a") as module:
            module.write(f"\n{line}\n")
    report = _lint(tree)
    assert {name: _outcome(report, name) for name in VIOLATIONS} == dict.fromkeys(VIOLATIONS, "BROKEN")
    assert set(CONTRACTS) - set(VIOLATIONS) == {"independent-plugins"}  # cannot be broken while there is one plugin


def test_siblings_do_not_import_each_other(tree: Path) -> None:
    path, line = SIBLING_VIOLATION
    with (tree / path).open("a") as module:
        module.write(f"\n{line}\n")
    assert _outcome(_lint(tree), "layers") == "BROKEN"


def test_the_contracts_cover_every_plugin_and_every_part() -> None:
    assert set(PLUGINS) <= set(CONFIG["root_packages"])
    assert set(PLUGINS) == set(CONTRACTS["plugins"]["source_modules"])
    assert set(PLUGINS) == set(CONTRACTS["independent-plugins"]["modules"])
    parts = {path.stem for path in (ROOT / "core/src/keyclave").glob("[a-z]*") if path.suffix in {"", ".py"}}
    forbidden = {name.partition(".")[2] for name in CONTRACTS["plugins"]["forbidden_modules"]} - {""}
    assert parts - forbidden == SEEN_BY_PLUGINS
    unseen = set(CONTRACTS["contract-tests"]["forbidden_modules"])
    assert set(PLUGINS) - {"keyclave_contract_tests"} <= unseen
    seen = {name.partition(".")[2] for name in unseen}
    assert parts - seen == SEEN_BY_PLUGINS | {"backends"}
