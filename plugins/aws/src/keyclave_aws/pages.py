"""Pages of lists: the marker of AWS KMS, with a word before it that shows where it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from keyclave.errors import IntegrityError, InvalidArgument

__all__ = ["items", "marker_in", "page_after"]

T = TypeVar("T")

_PREFIX = "aws-kms:"
_MARKER = re.compile(r"[\u0020-\u00FF]{1,1024}")  # MarkerType in the model of KMS


def page_after(marker: str) -> str:
    """Return the name of the page that begins at a marker."""
    return _PREFIX + marker


def marker_in(page: str) -> str:
    """Return the marker at which a page begins.

    Raises:
        InvalidArgument: the name did not come from here.
    """
    marker = page.removeprefix(_PREFIX)
    if marker == page or not _MARKER.fullmatch(marker):
        raise InvalidArgument("the page did not come from this backend")
    return marker


def items(read: Callable[[str | None], tuple[Sequence[T], str | None]]) -> Iterator[T]:
    """Return what is on all pages of a list.

    Args:
        read: returns a page, and the marker of the next one. ``None`` stands for the first, and for no next one.

    Raises:
        IntegrityError: a marker comes again, so that the list would never end.
    """
    seen: set[str] = set()
    marker: str | None = None
    while True:
        found, marker = read(marker)
        yield from found
        if marker is None:
            return
        if marker in seen:
            raise IntegrityError(
                "AWS KMS repeats a page of a list", next_step="Do not trust what is between here and AWS."
            )
        seen.add(marker)
