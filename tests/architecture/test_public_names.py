"""What the package offers: every public name is there, has a home, and is listed in order."""

from __future__ import annotations

import keyclave
import keyclave.errors
import keyclave.models
import keyclave.plugin
import pytest


@pytest.mark.parametrize("module", [keyclave, keyclave.errors, keyclave.models, keyclave.plugin])
def test_public_names_exist(module: object) -> None:
    names: list[str] = module.__all__  # type: ignore[attr-defined]  # a module
    assert [name for name in names if not hasattr(module, name)] == []
    assert len(set(names)) == len(names)


def test_the_lazy_names_are_the_public_ones() -> None:
    assert {*keyclave._HOMES, "errors"} == set(keyclave.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = keyclave.nonsense
