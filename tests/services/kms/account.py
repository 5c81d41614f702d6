"""What an operation works with: the keys, the clock, and how large a page may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.services.kms.keyring import Keyring

__all__ = ["Account", "Answer", "Request"]

Request = Mapping[str, Any]
"""The members of a request, decoded."""

Answer = dict[str, Any]
"""The members of an answer, to be encoded; one that is None is left out."""


@dataclass
class Account:
    """One account in one region.

    Attributes:
        clock: what time it is; a test may let days pass.
        page_limit: no page of a list is longer, whatever the request asks for, as KMS reserves for itself.
    """

    keyring: Keyring = field(default_factory=Keyring)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    page_limit: int = 1000
