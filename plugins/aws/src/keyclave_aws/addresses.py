"""The address of a key is its ARN, and nothing else: an alias can be made to lead to another key."""

from __future__ import annotations

from keyclave.errors import KeyNotFound
from keyclave.models import is_provider_uri

__all__ = ["require_arn"]


def require_arn(uri: str) -> str:
    """Return the ARN of a key.

    Raises:
        KeyNotFound: it is an alias, a key id or something else.
    """
    if not is_provider_uri(uri, "aws"):
        raise KeyNotFound("the address is not the ARN of a key")
    return uri
