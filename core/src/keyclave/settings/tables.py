"""The tables of the settings, and what may stand in each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from posixpath import normpath
from typing import Annotated, Any, Literal, Self

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from keyclave.models.backend import BackendId
from keyclave.models.environment import DEFAULT_PRECEDENCE, BackendType
from keyclave.models.levels import EnvironmentType, SecurityLevel
from keyclave.plugin.paths import PathFromHome
from keyclave.settings.durations import Duration

__all__ = [
    "PREFIX",
    "AuditSettings",
    "BackendSettings",
    "DetectionSettings",
    "EnvironmentSettings",
    "FallbackSettings",
    "PluginSettings",
    "RotationSettings",
    "Settings",
    "StateSettings",
]

PREFIX = "KEYCLAVE_"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class RotationSettings(_Section):
    """When keys get a new version. A key created with a policy of its own follows that one."""

    automatic: bool = True
    """Rotate a key when it is due, at the age of the interval, wherever `keyclave keys rotate-due` runs."""
    interval: Duration = timedelta(days=90)
    """Age at which a key is due: 1 to 365 days."""
    retention: Duration = timedelta(days=90)
    """How long a deprecated version is kept at least: 90 to 36525 days."""
    validation_period: Duration = timedelta(hours=24)
    """How long old and new version both sign in a rotation, until the new one takes over: to 365 days, 0 for none."""
    minimum_interval: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=365))] | None = None
    """No rotation of a new key earlier than this after the last one: at most 365 days."""
    retain_deprecated: bool = True
    """Keep deprecated versions when their retention has ended. Without it they are destroyed then."""


class FallbackSettings(_Section):
    """Whether a standby version in another backend may sign for a key while its backend is unavailable."""

    enabled: bool = False
    """Allow it, in production too, and create keys with a standby from now on. Never below the required level."""
    warning_level: Literal["WARNING", "ERROR"] = "WARNING"
    """Level of the log record that each fallback begins with."""
    max_duration: Duration | None = None
    """How long a fallback may last, over restarts and over all processes; without limit if unset."""


class AuditSettings(_Section):
    """What is recorded, and for how long."""

    enabled: bool = True
    """Record every operation, durably, before its result is returned. Cannot be off in production."""
    retention: Duration = timedelta(days=90)
    """How long records are kept at least: 90 days or more. This version never deletes one."""


class DetectionSettings(_Section):
    """How Keyclave finds out where it runs."""

    network: bool = True
    """Let `keyclave detect` ask the metadata servers of the clouds. Opening never does."""
    time_limit: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(seconds=10))] = timedelta(seconds=1)
    """How long they are waited for, all together: 10 seconds at most."""
    cache: PathFromHome | None = None
    """File that keeps what they answered, in a directory of mode 0700. Unset: `detection.json` in the directory of
    the state."""
    expiry: Duration = timedelta(hours=1)
    """How long that is used."""
    negative_expiry: Duration = timedelta(minutes=5)
    """How long it is used if it shows no cloud."""


class EnvironmentSettings(_Section):
    """The environment and what it requires."""

    type: EnvironmentType = EnvironmentType.LOCAL
    """production, staging, development or local. Unset: production where something shows a cloud or Kubernetes,
    else local, and a warning says so."""
    required_level: SecurityLevel | None = None
    """Lowest level that a backend must show: HSM, TPM or SOFTWARE. Unset: HSM in production and staging,
    SOFTWARE elsewhere."""
    allowed_backends: tuple[BackendType, ...] | None = None
    """Plugins that may hold keys. Unset: the precedence and every configured plugin."""
    precedence: tuple[BackendType, ...] = DEFAULT_PRECEDENCE
    """Plugins in order of preference, for keys created without naming a backend."""
    rotation: RotationSettings = RotationSettings()
    """Table `[environment.rotation]`."""
    fallback: FallbackSettings = FallbackSettings()
    """Table `[environment.fallback]`."""
    audit: AuditSettings = AuditSettings()
    """Table `[environment.audit]`."""
    detection: DetectionSettings = DetectionSettings()
    """Table `[environment.detection]`."""

    @property
    def effective_level(self) -> SecurityLevel:
        """The required level, with its default for the type of environment."""
        if self.required_level is not None:
            return self.required_level
        return SecurityLevel.HSM if self.type.is_strict else SecurityLevel.SOFTWARE


class StateSettings(_Section):
    """Where Keyclave keeps what it knows of keys, and the audit log."""

    directory: PathFromHome = Field(default_factory=lambda: user_data_path("keyclave"))
    """Directory of the state and of backends that keep files, created with mode 0700."""
    url: SecretStr | None = None
    """SQLAlchemy URL of the database. Unset: SQLite in the file `keyclave.db` of the directory."""
    key_file: PathFromHome | None = None
    """Key that authenticates the rows of the database. Unset: `instance.key` in the directory. Machines that
    share a database share this file's content."""

    @property
    def effective_url(self) -> SecretStr:
        """The URL, with its default. It may hold a password."""
        return self.url or SecretStr(f"sqlite:///{self.directory / 'keyclave.db'}")

    @property
    def effective_key_file(self) -> Path:
        """The key file, with its default."""
        return self.key_file or self.directory / "instance.key"


class PluginSettings(_Section):
    """Which plugins may load."""

    allow: tuple[BackendType, ...] | None = None
    """Plugins that may load. Unset: in production those that `[backends]` names, elsewhere all installed ones."""
    block: tuple[BackendType, ...] = ()
    """Plugins that must not load."""
    pin: dict[BackendType, str] = Field(default_factory=dict)
    """Distribution that must provide a plugin, where more than one does."""


class BackendSettings(BaseModel):
    """One configured backend instance: these settings, and the plugin's own beside them."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    plugin: BackendType
    """Name of the plugin's entry point, such as `software` or `pkcs11-hsm`."""
    accept_simulator: bool = False
    """Let a simulator or emulator stand for the real thing. Refused in production."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leave out the plugin's own settings, which may hold secrets."""
        return ((name, value) for name, value in super().__repr_args__() if name in type(self).model_fields)

    @property
    def plugin_settings(self) -> dict[str, Any]:
        """What the plugin's own settings model is made from."""
        return dict(self.__pydantic_extra__ or {})


class Settings(BaseSettings):
    """All settings. Unknown keys are refused."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    environment: EnvironmentSettings = EnvironmentSettings()
    """Table `[environment]`."""
    state: StateSettings = Field(default_factory=StateSettings)
    """Table `[state]`."""
    plugins: PluginSettings = PluginSettings()
    """Table `[plugins]`."""
    backends: dict[BackendId, BackendSettings] = Field(default_factory=dict)
    """Tables `[backends.<id>]`. None at all: one backend `software`, except in production."""

    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file that was read; ``None`` if there was none."""
        return self._source

    @property
    def is_default(self) -> bool:
        """Whether neither file nor environment configured a backend."""
        return not self.backends

    @property
    def effective_backends(self) -> dict[str, BackendSettings]:
        """The backends, with the default where none is configured."""
        return self.backends or {"software": BackendSettings(plugin="software")}

    @property
    def configured_type(self) -> EnvironmentType | None:
        """The type of environment that they name; ``None`` if they name none."""
        return self.environment.type if "type" in self.environment.model_fields_set else None

    @property
    def detection_cache(self) -> Path:
        """The file that keeps what was detected, with its default."""
        return self.environment.detection.cache or self.state.directory / "detection.json"

    def in_environment(self, environment_type: EnvironmentType) -> Self:
        """Return these settings for another type of environment.

        Raises:
            ValueError: they break a rule of it.
        """
        environment = self.environment.model_copy(update={"type": environment_type})
        settings = self.model_copy(update={"environment": environment})
        settings.check_production()
        return settings

    @model_validator(mode="after")
    def _check_directories(self) -> Self:
        """Each backend has a directory of its own below that of the state, by its id."""
        astray = [backend_id for backend_id in self.backends if normpath(backend_id) != backend_id]
        if astray:
            raise ValueError(
                f"the id of a backend names its directory, and {astray[0]!r} leads to that of another one"
            )
        return self

    @model_validator(mode="after")
    def _check_production(self) -> Self:
        self.check_production()
        return self

    def check_production(self) -> None:
        """Refuse what production does not start with.

        Raises:
            ValueError: this is production, on defaults or with a simulator.
        """
        if self.environment.type is not EnvironmentType.PRODUCTION:
            return
        if self.is_default:
            raise ValueError("FR-014: production does not start on defaults; configure a backend")
        simulators = [name for name, backend in self.backends.items() if backend.accept_simulator]
        if simulators:
            raise ValueError(f"FR-014: production refuses accept_simulator, set for {', '.join(simulators)}")

    @classmethod
    def settings_customise_sources(  # the signature is pydantic-settings'
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then the file, whose content ``load`` passes to the constructor."""
        return _Environment(settings_cls), init_settings


class _Environment(EnvSettingsSource):
    """The environment variables. A plugin's own values stay text, as its settings model expects of them."""

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:
        """Leave alone what only looks like JSON, such as a PIN of digits."""
        if field is None and isinstance(value, str) and not value.startswith(("[", "{")):
            return value
        return super().decode_complex_value(field_name, field, value)  # type: ignore[arg-type]  # None is passed
