"""Pages of lists: the marker of AWS KMS, with a word before it that shows where it came from."""

from __future__ import annotations

import re

from keyclave.errors import InvalidArgument

__all__ = ["marker_in", "page_after"]

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
