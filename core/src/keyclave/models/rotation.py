"""RotationPolicy: when a key gets a new version, and how long old ones are kept (FR-017, FR-022)."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from keyclave.models.base import MINIMUM_RETENTION, Model, require

__all__ = ["DEFAULT_ROTATION_INTERVAL", "RotationPolicy", "require_rotation_interval"]

DEFAULT_ROTATION_INTERVAL = timedelta(days=90)
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
        deprecated_version_retention_period: at least 90 days.
        manual_rotation_allowed: an operator may rotate at any time.
        validation_period: how long old and new version both sign during a rotation.
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
            self.deprecated_version_retention_period >= MINIMUM_RETENTION,
            "retention",
            "deprecated_version_retention_period",
            "must be at least 90 days",
        )
        require(
            self.validation_period >= timedelta(0),
            "FR-017",
            "validation_period",
            "must not be negative",
        )
        return self
