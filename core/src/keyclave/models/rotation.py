"""RotationPolicy: when a key gets a new version, and how long old ones are kept (FR-017, FR-022)."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from keyclave.models.base import MINIMUM_RETENTION, Model, require

__all__ = ["DEFAULT_ROTATION_INTERVAL", "LONGEST_VALIDATION", "RotationPolicy", "require_rotation_interval"]

DEFAULT_ROTATION_INTERVAL = timedelta(days=90)
LONGEST_VALIDATION = timedelta(days=365)
"""A key takes no other rotation meanwhile, so that a longer one would be no rotation at all."""
_LONGEST_RETENTION = timedelta(days=36_525)
"""A century: its end must be a date that can be written."""
_SHORTEST, _LONGEST = timedelta(days=1), timedelta(days=365)


def require_rotation_interval(interval: timedelta | None, field: str) -> None:
    """Refuse an interval outside 1 to 365 days (FR-022)."""
    require(
        interval is None or _SHORTEST <= interval <= _LONGEST,
        "FR-022",
        field,
        "must be between 1 day and 365 days",
    )


class RotationPolicy(Model):
    """Automatic and manual rotation of a key.

    Attributes:
        automatic_rotation_enabled: rotate when the key is older than ``rotation_interval``.
        rotation_interval: 1 to 365 days.
        retain_deprecated_versions: keep old versions, so that old signatures and ciphertexts stay usable.
        deprecated_version_retention_period: 90 to 36525 days.
        manual_rotation_allowed: an operator may rotate at any time.
        validation_period: how long old and new version both sign during a rotation: at most 365 days.
    """

    automatic_rotation_enabled: bool = True
    rotation_interval: timedelta | None = DEFAULT_ROTATION_INTERVAL
    retain_deprecated_versions: bool = True
    deprecated_version_retention_period: timedelta = MINIMUM_RETENTION
    manual_rotation_allowed: bool = True
    validation_period: timedelta = timedelta(hours=24)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require_rotation_interval(self.rotation_interval, "rotation_interval")
        require(
            not self.automatic_rotation_enabled or self.rotation_interval is not None,
            "FR-022",
            "rotation_interval",
            "must be set while automatic rotation is enabled",
        )
        require(
            MINIMUM_RETENTION <= self.deprecated_version_retention_period <= _LONGEST_RETENTION,
            "retention",
            "deprecated_version_retention_period",
            "must be between 90 and 36525 days",
        )
        require(
            timedelta(0) <= self.validation_period <= LONGEST_VALIDATION,
            "FR-017",
            "validation_period",
            "must be between 0 and 365 days",
        )
        return self
