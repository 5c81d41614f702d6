"""The address of a key is its ARN, and nothing else: an alias can be made to lead to another key."""

from __future__ import annotations

from keyclave.errors import ConfigurationError, KeyNotFound
from keyclave.models import is_provider_uri

__all__ = ["require_arn"]


def require_arn(uri: str, region: str) -> str:
    """Return the ARN of a key in a region.

    Raises:
        KeyNotFound: it is an alias, a key id or something else.
        ConfigurationError: the key is in another region. AWS would say that there is no such key, which would pass
            for destroyed while it goes on.
    """
    if not is_provider_uri(uri, "aws"):
        raise KeyNotFound("the address is not the ARN of a key")
    there = uri.split(":")[3]
    if there != region:
        raise ConfigurationError(
            f"the key is in {there}, and the backend in {region}",
            next_step="Set `region` to that of this backend's keys; configure another region as another backend.",
        )
    return uri
