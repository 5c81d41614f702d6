"""Warnings go to standard error: a line each, as text or as JSON."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["notices_to_stderr"]


class _Handler(logging.Handler):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        self.show(record.getMessage())

    def show(self, message: str) -> None:
        click.echo(json.dumps({"warning": message}) if self._as_json else f"Warning: {message}", err=True)


@contextmanager
def notices_to_stderr(*, as_json: bool) -> Iterator[None]:
    """Show what Keyclave logs as a warning or worse, and Python's warnings, while the body runs."""
    handler = _Handler(as_json=as_json)

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        handler.show(str(message))

    logger = logging.getLogger("keyclave")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
