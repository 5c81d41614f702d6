"""The hook of mkdocs that adds the pages which are generated from the code."""

from __future__ import annotations

from collections.abc import Callable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs._generated import commands, errors, settings

__all__ = ["PAGES", "on_files"]

PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings.page,
    "reference/cli.md": commands.page,
    "reference/exit-codes.md": commands.exit_code_page,
    "reference/errors.md": errors.page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those that were found."""
    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files
