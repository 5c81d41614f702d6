"""Run the blocks of one page as a reader would: in order, in one directory, with a home of its own."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keyclave.settings import Settings

from tests.docs.markdown import Block

__all__ = ["Page"]

_SAME = doctest.OutputChecker().check_output
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Page:
    """What the blocks of one page share: the variables of Python, the directory, and the last output.

    Args:
        path: the page.
        environment: the variables of the shell; ``None`` for those of this process, with its programs first.

    The kinds: ``python`` and ``bash`` run; ``output`` is what the block before printed (``...`` stands for
    anything); ``toml`` must be settings that Keyclave takes. A block with ``title="NAME"`` is a file, and is written:
    settings as well, Python instead of being run. ``text``, ``mermaid`` and ``bash setup`` are not run.
    """

    def __init__(self, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._environment = _own_environment() if environment is None else environment
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed: str | None = None

    def run(self, block: Block) -> None:
        """Run a block; raise an error that names page and line if it does not do what the page says."""
        kind, _, argument = block.kind.partition(" ")
        runners: dict[str, Callable[[Block, str], None]] = {
            "python": self._python,
            "bash": self._bash,
            "output": self._output,
            "toml": self._toml,
        }
        assert kind in runners, f"{self._path}:{block.line}: unknown kind of block {block.kind!r}"
        try:
            runners[kind](block, argument)
        except Exception as error:
            error.add_note(f"in the block at {self._path}:{block.line}")
            raise

    def _python(self, block: Block, title: str) -> None:
        if title:
            _write(title, block.text)
            return
        code = compile("\n" * (block.line - 1) + block.text, str(self._path), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self._names)
        self._printed = printed.getvalue()

    def _bash(self, block: Block, _: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        environment = {**self._environment, "NO_COLOR": "1", "COLUMNS": "100"}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert result.returncode == 0, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
        self._printed = result.stdout

    def _output(self, block: Block, _: str) -> None:
        assert self._printed is not None, "nothing was printed before"
        assert _SAME(block.text, self._printed, _FLAGS), f"the page says\n{block.text}\nbut it is\n{self._printed}"

    def _toml(self, block: Block, title: str) -> None:
        if title != 'title="pyproject.toml"':
            Settings(**tomllib.loads(block.text))
        if title:
            _write(title, block.text)


def _own_environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _write(title: str, text: str) -> None:
    """Write a block to the file that its title names, as the site shows it."""
    path = Path(title.removeprefix('title="').removesuffix('"'))
    assert title == f'title="{path}"', title
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
