"""What KMS refuses: its code, as the service model and the API reference name it, and the HTTP status."""

from __future__ import annotations

__all__ = ["KmsFailure"]

_STATUS = {"DependencyTimeoutException": 503, "KeyUnavailableException": 500, "KMSInternalException": 500}


class KmsFailure(Exception):
    """A refusal.

    Args:
        code: such as "NotFoundException".
        message: what the caller is told.
        status: of HTTP, if it is not the one that goes with the code.
        retry_after: seconds for a Retry-After header.
    """

    def __init__(
        self, code: str, message: str = "", *, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)
        self.retry_after = retry_after
