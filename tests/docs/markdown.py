"""The code blocks of a Markdown page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["NOT_RUN", "PAGES", "ROOT", "Block", "blocks"]

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *(ROOT / "core").glob("*.md"),
        *(ROOT / "contract-tests").glob("*.md"),
        *ROOT.glob("plugins/*/*.md"),
    ]
)
NOT_RUN = ("text", "mermaid", "bash setup")


@dataclass(frozen=True)
class Block:
    """One fenced block: what follows the fence, the line of its first line, and its content."""

    kind: str
    line: int
    text: str

    @property
    def runs(self) -> bool:
        """Whether a test executes or compares it."""
        return self.kind not in NOT_RUN


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page in order; an indented one has no kind."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [
        Block(token.info.strip(), token.map[0] + 2, token.content)
        for token in tokens
        if token.type in {"fence", "code_block"} and token.map
    ]
