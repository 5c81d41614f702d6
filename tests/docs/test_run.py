"""The runner of the pages notices a page that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.docs.markdown import blocks
from tests.docs.run import Page

WRONG = {
    "python": ("```python\n1 / 0\n```", ZeroDivisionError),
    "python prints": ("```python\nprint(1)\n```\n\n```output\n2\n```", AssertionError),
    "bash": ("```bash\nfalse\necho\n```", AssertionError),
    "bash prints": ("```bash\necho one two\n```\n\n```output\none\n```", AssertionError),
    "variables of another page": ("```python\nprint(name)\n```", NameError),
    "no output": ("```output\n1\n```", AssertionError),
    "settings": ("```toml\n[environment]\ntyp = 'local'\n```", ValidationError),
    "unknown kind": ("```ruby\n1\n```", AssertionError),
    "indented": ("text\n\n    keyclave keys list\n", AssertionError),
}


def _run(path: Path, text: str) -> None:
    path.write_text(text)
    page = Page(path)
    for block in blocks(path):
        page.run(block)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_is_noticed(tmp_path: Path, name: str) -> None:
    text, error = WRONG[name]
    with pytest.raises(error) as caught:
        _run(tmp_path / "page.md", text)
    assert "page.md:" in "".join([*getattr(caught.value, "__notes__", []), str(caught.value)])


def test_blocks_share_names_and_show_what_is_printed(tmp_path: Path) -> None:
    _run(
        tmp_path / "page.md",
        "```python\na = 1\n```\n\n```python\nprint(a, 'and more')\n```\n\n```output\n1 and ...\n```",
    )


def test_the_line_of_an_error_is_that_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _run(tmp_path / "page.md", "text\n\n```python\na = 0\n1 / a\n```")
    assert caught.traceback[-1].lineno + 1 == 5


def test_a_block_with_a_title_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run(tmp_path / "page.md", '```python title="src/a.py"\nprint(1)\n```\n\n```toml title="b.toml"\n[state]\n```')
    assert (tmp_path / "src/a.py").read_text() == "print(1)\n"
    assert (tmp_path / "b.toml").read_text() == "[state]\n"
    with pytest.raises(AssertionError):
        _run(tmp_path / "page.md", "```toml b.toml\n[state]\n```")
