"""Lists, in pages that a marker leads through."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import PREFIX

__all__ = ["OPERATIONS"]


def list_keys(account: Account, request: Request) -> Answer:
    """List the ids and ARNs of all keys, whatever their state."""
    keys = [(f"{key.serial:08}", {"KeyId": key.id, "KeyArn": key.arn}) for key in account.keyring.keys.values()]
    return _page(account, request, "Keys", keys)


def list_aliases(account: Account, request: Request) -> Answer:
    """List the aliases, or those of one key."""
    only = account.keyring.named(request["KeyId"]).id if "KeyId" in request else None
    aliases = [
        (name, {"AliasName": name, "AliasArn": PREFIX + name, "TargetKeyId": target})
        for name, target in sorted(account.keyring.aliases.items())
        if only in {None, target}
    ]
    return _page(account, request, "Aliases", aliases)


def list_resource_tags(account: Account, request: Request) -> Answer:
    """List the tags of a key."""
    tags = sorted(account.keyring.named(request["KeyId"]).tags.items())
    return _page(account, request, "Tags", [(key, {"TagKey": key, "TagValue": value}) for key, value in tags], 50)


def _page(
    account: Account, request: Request, member: str, items: Iterable[tuple[str, Any]], default: int = 100
) -> Answer:
    """Return the items behind the marker; each comes with what sorts it."""
    after = _read_marker(request.get("Marker"))
    rest = [item for item in items if item[0] > after]
    limit = min(request.get("Limit", default), account.page_limit)
    page, truncated = rest[:limit], len(rest) > limit
    marker = base64.b64encode(page[-1][0].encode()).decode() if truncated else None
    return {member: [item for _, item in page], "Truncated": truncated, "NextMarker": marker}


def _read_marker(marker: str | None) -> str:
    try:
        return base64.b64decode(marker or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise KmsFailure("InvalidMarkerException", "The marker is not one of an earlier answer") from None


OPERATIONS = {"ListKeys": list_keys, "ListAliases": list_aliases, "ListResourceTags": list_resource_tags}
