"""The settings of the tour. They come from nowhere but here, so that the tour cannot touch the user's state."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from keyclave.models.levels import EnvironmentType
from keyclave.settings import BackendSettings, EnvironmentSettings, RotationSettings, Settings, StateSettings

__all__ = ["TourSettings"]


class TourSettings(Settings):
    """Settings that no environment variable can change."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what the constructor was given, and nothing else."""
        return (init_settings,)

    @classmethod
    def for_directory(cls, directory: Path) -> Self:
        """Return settings with everything in one directory: environment local, software backend, SQLite."""
        return cls(
            environment=EnvironmentSettings(
                type=EnvironmentType.LOCAL, rotation=RotationSettings(validation_period=timedelta(0))
            ),
            state=StateSettings(directory=directory),
            backends={"software": BackendSettings(plugin="software")},
        )
