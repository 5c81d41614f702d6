"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import keyclave
import keyclave_software
import pytest

PACKAGES = (keyclave, keyclave_software)
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if ".migrations." not in module.name and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["keyclave", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_hooks_have_examples() -> None:
    assert doctest.testmod(importlib.import_module("keyclave.plugin.hookspecs")).attempted > 40
