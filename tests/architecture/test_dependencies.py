"""A distribution declares what it imports, and imports what it declares."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in [*ROOT.glob("core/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")])
HOMES = packages_distributions()
FOUND_OTHERWISE = {"psycopg"}  # imported by name, because it is optional
PARTS = {"pydantic-core"}  # comes with pydantic, which pins its version
TYPES = {"types-boto3-kms"}  # only the type checker imports it


def _imported(source: Path) -> Iterator[str]:
    """Yield the top-level names of every absolute import, wherever in a module it stands."""
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


@pytest.mark.parametrize("directory", PROJECTS, ids=lambda path: path.name)
def test_imports_and_dependencies_are_the_same(directory: Path) -> None:
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project.get("optional-dependencies", {}).values() for one in extra),
    ]
    declared = {canonicalize_name(Requirement(requirement).name) for requirement in wanted}
    names = set(_imported(directory / "src")) - sys.stdlib_module_names - {project["name"].replace("-", "_")}
    imported = {canonicalize_name(HOMES.get(name, [name])[0]) for name in names}
    assert imported - PARTS - TYPES == declared - FOUND_OTHERWISE
