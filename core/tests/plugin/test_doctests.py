"""Every example in a docstring of the core runs."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import keyclave
import pytest
from keyclave.plugin import Detection, Health, KeyStorage, Provider, Signing, hookspecs

_SOURCE = Path(keyclave.__file__).parent


def _has_examples(path: Path) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(">>> " in (ast.get_docstring(node) or "") for node in nodes if isinstance(node, documented))


def _modules() -> list[str]:
    files = (path for path in sorted(_SOURCE.rglob("*.py")) if _has_examples(path))
    names = (".".join(("keyclave", *path.relative_to(_SOURCE).with_suffix("").parts)) for path in files)
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("name", _modules())
def test_the_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_examples_of_the_hooks_are_among_them() -> None:
    found = {test.name.rpartition(".")[2] for test in doctest.DocTestFinder().find(hookspecs) if test.examples}
    specifications = (Provider, Detection, KeyStorage, Signing, Health)
    hooks = {name for specification in specifications for name in vars(specification) if not name.startswith("_")}
    assert hooks
    assert hooks <= found


def test_an_example_that_is_wrong_is_noticed() -> None:
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None).failed == 1
