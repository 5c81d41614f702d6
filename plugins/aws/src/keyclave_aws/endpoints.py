"""Whose endpoint it is: one of AWS, where it says what it keeps keys in, or another, which proves nothing."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from keyclave.errors import InvalidArgument

__all__ = ["checked_endpoint", "is_aws", "is_loopback", "is_plain", "region_of"]

# https://docs.aws.amazon.com/general/latest/gr/kms.html, and the partitions of botocore. No other name below
# amazonaws.com will do: an API gateway or a load balancer of anybody has one as well.
_AWS_HOST = re.compile(
    r"(?:vpce-[a-z0-9-]+\.)?kms(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.(?:vpce\.)?"
    r"(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws|api\.amazonwebservices\.(?:com\.cn|eu)"
    r"|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov|api\.aws\.(?:ic|scloud|hci\.ic)\.gov"
    r"|api\.cloud-aws\.adc-e\.uk)"
)

_PLAIN_TEXT = re.compile(r"[!-\[\]-~]+")
"""What all readers of URLs read alike: some drop or replace other characters, and see another host."""


def checked_endpoint(url: str) -> str:
    """Return the URL of an endpoint as it was given.

    Raises:
        InvalidArgument: it is not an https URL of a host, or an http URL of this machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgument("the endpoint is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidArgument("the endpoint must be an https URL with a host")
    if not _PLAIN_TEXT.fullmatch(url):
        raise InvalidArgument(
            "the endpoint must be a URL without spaces, backslashes and other than ASCII characters"
        )
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise InvalidArgument("the endpoint must be a URL without user, path, query and fragment")
    if parts.scheme == "http" and not is_loopback(url):
        raise InvalidArgument("plain http would show every request: it is for endpoints of this machine only")
    return url


def is_aws(url: str) -> bool:
    """Return whether only AWS can answer there: the name is one that AWS gives KMS alone, and TLS proves it.

    Examples:
        >>> is_aws("https://kms.eu-central-1.amazonaws.com")
        True
        >>> is_aws("https://abc.execute-api.eu-central-1.amazonaws.com")
        False
    """
    parts = urlsplit(url)
    return parts.scheme == "https" and _AWS_HOST.fullmatch(parts.hostname or "") is not None


def region_of(url: str) -> str | None:
    """Return the region in the name of an endpoint of AWS; ``None`` for any other.

    Examples:
        >>> region_of("https://kms-fips.us-gov-west-1.amazonaws.com")
        'us-gov-west-1'
    """
    found = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
    return found["region"] if found else None


def is_plain(url: str) -> bool:
    """Return whether requests go there without TLS."""
    return urlsplit(url).scheme == "http"


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
