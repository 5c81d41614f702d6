"""What all models share: frozen, closed, UTC, and rules that name themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

__all__ = [
    "MINIMUM_RETENTION",
    "Model",
    "NonEmptyStr",
    "UtcDatetime",
    "Version",
    "broken_rule",
    "problems_of",
    "require",
]

MINIMUM_RETENTION = timedelta(days=90)


class Model(BaseModel):
    """A frozen record that refuses unknown fields and never prints the input that it refused.

    In JSON, bytes are base64 (RFC 4648, section 5), times RFC 3339 and durations ISO 8601.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        str_min_length=0,  # no limit, but pydantic then refuses lone surrogates, which cannot be written as JSON
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changes. The rules hold for it as for every other instance."""
        copied = super().model_copy(deep=deep)
        return self.model_validate({**dict(copied), **update}) if update else copied


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("utc", "UTC: must lie between the years 1 and 9999") from None


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
NonEmptyStr = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""The version of a key: what every database holds as an integer."""


def broken_rule(rule: str, field: str, message: str) -> PydanticCustomError:
    """Return the error for a broken rule: ``rule`` is its FR number, or a short name where it has none."""
    return PydanticCustomError(
        "rule", "{rule}: {field} {problem}", {"rule": rule, "field": field, "problem": message}
    )


def problems_of(error: ValidationError) -> str:
    """Return which rules a model breaks, in one line and without its values."""
    return "; ".join(found["msg"] for found in error.errors(include_input=False, include_url=False))


def require(holds: bool, rule: str, field: str, message: str) -> None:  # noqa: FBT001  reads as a sentence
    """Raise the error of ``broken_rule`` unless ``holds``."""
    if not holds:
        raise broken_rule(rule, field, message)
