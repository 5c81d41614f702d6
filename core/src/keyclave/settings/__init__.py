"""The settings: one TOML file and ``KEYCLAVE_…`` environment variables. Parsed here, acted on in `keyclave.app`."""

from keyclave.settings.durations import Duration
from keyclave.settings.loading import load
from keyclave.settings.tables import (
    AuditSettings,
    BackendSettings,
    DetectionSettings,
    EnvironmentSettings,
    FallbackSettings,
    PluginSettings,
    RotationSettings,
    Settings,
    StateSettings,
)

__all__ = [
    "AuditSettings",
    "BackendSettings",
    "DetectionSettings",
    "Duration",
    "EnvironmentSettings",
    "FallbackSettings",
    "PluginSettings",
    "RotationSettings",
    "Settings",
    "StateSettings",
    "load",
]
