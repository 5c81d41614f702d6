"""``keyclave new-backend``: what it writes is a package that is clean, typed, and refuses to take anybody's place."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from keyclave import __version__
from keyclave.backends.catalog import FIRST_PARTY, GROUP
from keyclave.cli.scaffold.names import substitutions
from keyclave.plugin import CONTRACTS
from packaging.requirements import Requirement

Run = Callable[..., Result]
ROOT = Path(__file__).parents[3]
MODULES = {"__init__", "plugin", "settings", "backend", "errors", "store"}
LONGEST = "a" * 15 + "-" + "b" * 14


@pytest.fixture(params=["a", "acme-hsm", "acme-x509-box", LONGEST])
def package(run: Run, request: pytest.FixtureRequest) -> Path:
    """The package of a backend with that name."""
    run("new-backend", request.param)
    return Path(f"keyclave-{request.param}").resolve()


def in_package(package: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_whole_and_nothing_is_left_to_fill_in(package: Path) -> None:
    name = package.name.removeprefix("keyclave-")
    source = package / "src" / package.name.replace("-", "_")
    assert {path.stem for path in source.glob("*.py")} == MODULES
    assert (source / "py.typed").read_text() == ""
    for path in ("README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml", "tests/test_backend.py"):
        assert (package / path).read_text()
    for file in (file for file in package.rglob("*") if file.is_file()):
        text = file.read_text().replace("${{ matrix.python }}", "")
        assert "$" not in text, file
        assert file.suffix != ".in"
        assert text == "" or text.endswith("\n")
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == package.name
    assert project["entry-points"][GROUP] == {name: f"{source.name}.plugin"}
    (wanted,) = [Requirement(r) for r in project["dependencies"] if r.startswith("keyclave")]
    assert wanted.specifier.contains(__version__, prereleases=True)
    assert f'contract="{CONTRACTS[-1]}"' in (source / "backend.py").read_text()


def test_the_contract_is_adopted_in_twelve_lines(package: Path) -> None:
    lines = (package / "tests/test_contract.py").read_text().splitlines()
    assert len(lines) <= 12
    assert f'    plugin = "{package.name.removeprefix("keyclave-")}"' in lines


@pytest.mark.parametrize("config", ["pyproject.toml", str(ROOT / "pyproject.toml")], ids=["its own", "ours"])
def test_it_is_clean_by_its_own_rules_and_by_ours(package: Path, config: str) -> None:
    in_package(package, "ruff", "check", "--no-cache", "--config", config, ".")
    in_package(package, "ruff", "format", "--check", "--no-cache", "--config", config, ".")


def test_it_is_typed_strictly(package: Path) -> None:
    in_package(package, "mypy", "--strict", "src", "tests")


def test_its_own_tests_pass(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(package / "src"))
    in_package(package, "pytest", "-W", "error", "-p", "no:cacheprovider", "tests/test_backend.py")


def test_the_answer_names_every_file(run: Run) -> None:
    said = run("new-backend", "acme").stdout.splitlines()
    answer = json.loads(run("new-backend", "acme-two", "--directory", "elsewhere", "--json").stdout)
    assert answer["directory"] == "elsewhere"
    assert (answer["distribution"], answer["package"]) == ("keyclave-acme-two", "keyclave_acme_two")
    written = {str(path.relative_to("elsewhere")) for path in Path("elsewhere").rglob("*") if path.is_file()}
    assert set(answer["files"]) == written
    assert len(said) == len(written) + 1
    assert said[-1] == (
        'Next: python -m pip install --editable "keyclave-acme[test]", then python -m pytest keyclave-acme'
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, "one of Keyclave's own distributions") for name in (*sorted(FIRST_PARTY), "contract-tests")),
        ("keyclave-acme", "Leave out 'keyclave-'"),
        *(
            (name, "not a name for a backend")
            for name in (
                "Acme",
                "acme_hsm",
                "acme.hsm",
                "9acme",
                "acme-",
                "acme--hsm",
                "a b",
                "",
                "ä",
                "../up",
                "a/b",
            )
        ),
        ("a" * 31, "not a name for a backend"),
        ("acme\n", "not a name for a backend"),
    ],
)
def test_a_name_that_cannot_be_is_refused(run: Run, name: str, said: str) -> None:
    result = run("new-backend", name, code=2)
    assert said in result.stderr
    assert "Next: " in result.stderr
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("there", ["directory", "full", "file", "link"])
def test_nothing_is_overwritten(run: Run, there: str) -> None:
    target = Path("keyclave-acme")
    if there == "file":
        target.write_text("mine")
    elif there == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
    if there == "full":
        (target / "README.md").write_text("mine")
    before = sorted(Path().rglob("*"))
    result = run("new-backend", "acme", code=2)
    assert "keyclave-acme exists, and nothing is overwritten" in result.stderr
    assert "--directory" in result.stderr
    assert sorted(Path().rglob("*")) == before


def test_a_directory_that_cannot_be_made_is_refused(run: Run) -> None:
    assert "cannot be made: No such file" in run("new-backend", "a", "--directory", "no/such", code=2).stderr


def test_what_cannot_be_written_whole_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the last file is written."""
    write = Path.write_text

    def full(path: Path, *arguments: str, **options: str) -> int:
        if path.name == "test_contract.py":
            raise OSError(28, "No space left on device", str(path))
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left on device" in run("new-backend", "acme", code=1).stderr
    assert list(Path().iterdir()) == []


def test_the_names_are_made_from_one() -> None:
    names = substitutions("acme-x509-box", "1.2.3", "2027.05", date(2027, 5, 1))
    assert names["prefix"] == "AcmeX509Box"
    assert (names["requirement"], names["tests_requirement"]) == (
        "keyclave>=1.2,<2",
        "keyclave-contract-tests>=1.2,<2",
    )
