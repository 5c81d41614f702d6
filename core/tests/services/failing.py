"""Backends that fail at one step.

No real backend fails on demand. So a method of an opened one is replaced: by one that raises instead of calling the
backend, or after the backend did what it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keyclave import Keyclave


@contextmanager
def failing(
    clave: Keyclave, method: str, error: Exception, *, afterwards: bool = False, backend: str = "software"
) -> Iterator[None]:
    """Let a method of a backend raise while the body runs."""

    def fail(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if afterwards:
            real(*arguments, **options)
        raise error

    with replaced(clave, method, fail, backend=backend):
        yield


@contextmanager
def replaced(
    clave: Keyclave, method: str, function: Callable[..., Any], *, backend: str = "software"
) -> Iterator[None]:
    """Let ``function`` be called instead of a method of a backend, with the method first."""
    opened: Any = clave._backends.get(backend)
    real = getattr(opened, method)
    setattr(opened, method, lambda *arguments, **options: function(real, *arguments, **options))
    try:
        yield
    finally:
        setattr(opened, method, real)
