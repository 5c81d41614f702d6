"""Refuse an answer that ended too early: the SDK does not count, and takes what is no JSON for an empty answer."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import IncompleteReadError

__all__ = ["require_whole"]


def require_whole(response_dict: dict[str, Any], **_: Any) -> None:
    """Handle the event ``before-parse`` of a client.

    Raises:
        IncompleteReadError: the body is shorter than the answer said it would be.
    """
    expected, found = response_dict["headers"].get("Content-Length"), len(response_dict["body"])
    if expected is not None and int(expected) != found:
        raise IncompleteReadError(actual_bytes=found, expected_bytes=int(expected))
