"""The documentation does not build with a page that shows its markup to the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from tests.docs.markdown import ROOT

GOOD = '```toml title="a.toml"\n[state]\n```\n'
WRONG = {
    "a fence that is none": "```toml a.toml\n[state]\n```\n",
    "an example in a docstring without its heading": "> > >>> 1 + 1\n> > 2\n",
}


def _build(tmp_path: Path, text: str) -> str:
    """Build a site of one page with the extensions and the hooks of ours; return the page."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(text)
    config = load_config(
        str(ROOT / "mkdocs.yml"),
        docs_dir=str(tmp_path / "docs"),
        site_dir=str(tmp_path / "site"),
        nav=["index.md"],
        strict=False,
        plugins=[],
        extra_css=[],
    )
    build(config)
    return (tmp_path / "site/index.html").read_text()


@pytest.mark.parametrize("name", WRONG)
def test_a_page_that_shows_markup_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    with pytest.raises(Abort):
        _build(tmp_path, WRONG[name])
    assert "index.md: " in caplog.text
    assert "is not drawn as one" in caplog.text


def test_a_block_with_a_title_is_drawn_with_it(tmp_path: Path) -> None:
    page = _build(tmp_path, GOOD)
    assert '<span class="filename">a.toml</span>' in page
    assert "```" not in page


def test_a_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = _build(tmp_path, GOOD)
    assert 'src="http' not in page
    assert '<link rel="stylesheet" href="http' not in page
    assert "fonts.g" not in page
