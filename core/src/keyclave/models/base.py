"""What all models share: frozen, closed, UTC, and rules that name themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

__all__ = ["MINIMUM_RETENTION", "Model", "NonEmptyStr", "UtcDatetime", "broken_rule", "require"]

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
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
NonEmptyStr = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


def broken_rule(rule: str, field: str, message: str) -> PydanticCustomError:
    """Return the error for a broken rule: ``rule`` is its FR number, or a short name where it has none."""
    return PydanticCustomError(
        "rule", "{rule}: {field} {problem}", {"rule": rule, "field": field, "problem": message}
    )


def require(holds: bool, rule: str, field: str, message: str) -> None:  # noqa: FBT001  reads as a sentence
    """Raise the error of ``broken_rule`` unless ``holds``."""
    if not holds:
        raise broken_rule(rule, field, message)
