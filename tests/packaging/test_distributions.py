"""Every distribution builds as sdist and wheel, complete; wheels alone do the main job in an empty environment."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.build import DISTRIBUTIONS, ROOT
from tests.packaging.environment import Environment

pytestmark = pytest.mark.needs("git")


def _wheel(built: Path, name: str) -> Path:
    return next(built.glob(f"{name.replace('-', '_')}-[0-9]*.whl"))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_wheel_holds_the_package_and_nothing_else(built: Path, name: str) -> None:
    package = name.replace("-", "_")
    source = next((ROOT / DISTRIBUTIONS[name] / "src").iterdir())
    assert source.name == package
    with zipfile.ZipFile(_wheel(built, name)) as wheel:
        names = wheel.namelist()
        metadata = wheel.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    expected = {
        str(path.relative_to(source.parent))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {n for n in names if not n.startswith(f"{package}-")} == expected
    assert f"{package}/py.typed" in names
    assert any(n.endswith("/licenses/LICENSE") for n in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert len(metadata.partition("\n\n")[2]) > 200, "the README is missing"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_sdist_holds_sources_and_tests(built: Path, name: str) -> None:
    with tarfile.open(next(built.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz"))) as sdist:
        names = {n.partition("/")[2] for n in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names
    assert not [n for n in names if "__pycache__" in n or n.endswith((".pyc", ".db"))]


def test_versions_and_licences_are_the_same_everywhere() -> None:
    projects = {
        name: tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"]
        for name, path in DISTRIBUTIONS.items()
    }
    assert {name: project["name"] for name, project in projects.items()} == {name: name for name in projects}
    assert len({project["version"] for project in projects.values()}) == 1
    assert {(ROOT / path / "LICENSE").read_bytes() for path in DISTRIBUTIONS.values()} == {
        (ROOT / "LICENSE").read_bytes()
    }


def test_wheels_alone_do_the_main_job(built: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "home")
    pins = ROOT / "constraints/run.txt"
    environment.run("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", pins)
    wheels = (_wheel(built, "keyclave"), _wheel(built, "keyclave-software"))
    environment.run("pip", "install", "--quiet", "--no-deps", "--no-index", *wheels)
    environment.run("pip", "check")
    installed = environment.run("python", "-c", "import keyclave, keyclave_software; print(keyclave.__file__)")
    assert installed.startswith(str(tmp_path))
    toured = environment.run("keyclave", "tour", ROOT / "README.md")
    assert "good, by version 1" in toured.partition("Rotate the key")[2]
