"""The address of a key is its ARN, and nothing else: an alias can be made to lead to another key."""

from __future__ import annotations

from keyclave.errors import ConfigurationError, KeyNotFound
from keyclave.models import is_provider_uri

__all__ = ["require_arn"]


def require_arn(uri: str, region: str) -> str:
    """Return the ARN of a key.

    Args:
        uri: the address.
        region: where the backend looks for keys. AWS says there of a key of another region that it does not exist,
            which must not pass for its destruction.

    Raises:
        KeyNotFound: it is an alias, a key id or something else.
        ConfigurationError: the key is in another region.

    Examples:
        >>> require_arn("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "eu-west-1")
        'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
    """
    if not is_provider_uri(uri, "aws"):
        raise KeyNotFound("the address is not the ARN of a key")
    if (its_region := uri.split(":")[3]) != region:
        raise ConfigurationError(
            f"the key is in the region {its_region}, and this backend looks in {region}",
            next_step="Set the region in which the key was made; for another region, configure another backend.",
        )
    return uri
