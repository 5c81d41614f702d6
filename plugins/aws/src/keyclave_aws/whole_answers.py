"""Refuse an answer that is not one of AWS KMS, or ended too early: the SDK would take both for empty answers.

Some operations of KMS answer nothing. A page of a proxy in place of it must not pass for a key that was disabled.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from botocore.exceptions import IncompleteReadError
from botocore.parsers import ResponseParserError

__all__ = ["require_kms", "require_whole"]


def require_whole(response_dict: dict[str, Any], **_: Any) -> None:
    """Handle the event ``before-parse`` of a client.

    Raises:
        IncompleteReadError: the body is shorter than the answer said it would be.
    """
    expected, found = response_dict["headers"].get("Content-Length"), len(response_dict["body"])
    if expected is not None and int(expected) != found:
        raise IncompleteReadError(actual_bytes=found, expected_bytes=int(expected))


def require_kms(response_dict: dict[str, Any], **_: Any) -> None:
    """Handle the event ``before-parse`` of a client of KMS. What refuses a call need not be KMS.

    Raises:
        ResponseParserError: it says that the call was done, and is not as KMS says it: with status 200, the id of the
            request, and a JSON object or nothing.
    """
    status, body = response_dict["status_code"], response_dict["body"].strip()
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return
    is_object = body[:1] == b"{" and body[-1:] == b"}"
    named = bool(response_dict["headers"].get("x-amzn-RequestId"))
    if status != HTTPStatus.OK or not named or (body and not is_object):
        raise ResponseParserError("this is no answer of KMS")
