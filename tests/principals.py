"""Two principals of one instance: who asks for a migration, and who approves it.

A test that takes them has a fixture ``as_``, which opens its instance in the name of a principal.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from keyclave import Keyclave

__all__ = ["As", "alice", "bob"]

As = Callable[[str], Keyclave]


@pytest.fixture
def alice(as_: As) -> Keyclave:
    """Who asks for migrations."""
    return as_("alice")


@pytest.fixture
def bob(as_: As) -> Keyclave:
    """Who approves them."""
    return as_("bob")
