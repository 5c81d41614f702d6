"""The hooks of mkdocs: add the pages which are generated from the code, and refuse a page that is drawn wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs._generated import checks, commands, errors, rules, settings, zoo

__all__ = ["PAGES", "on_files", "on_page_content"]

_FENCE = re.compile(r"^```\w", re.MULTILINE)
_DRAWN = re.compile(r'<div class="(?:language-\S+ )?highlight">')
_QUOTED_EXAMPLE = "<blockquote>\n<blockquote>"

PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings.page,
    "reference/cli.md": commands.page,
    "reference/exit-codes.md": commands.exit_code_page,
    "reference/errors.md": errors.page,
    "reference/rules.md": rules.page,
    "reference/checks.md": checks.page,
    "reference/zoo.md": zoo.page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those that were found."""
    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page as it is; raise ``PluginError`` if a reader would see its markup."""
    del config, files
    if len(_DRAWN.findall(html)) < len(_FENCE.findall(page.markdown or "")):
        raise PluginError(f"{page.file.src_uri}: a code block is not drawn as one")
    if _QUOTED_EXAMPLE in html:
        raise PluginError(f"{page.file.src_uri}: an example is not drawn as one; it needs the heading Examples")
    return html
