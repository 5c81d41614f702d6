from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import keyclave
import pytest
from keyclave.errors import ConfigurationError
from keyclave.models import EnvironmentType, SecurityLevel
from keyclave.settings import load


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keyclave.toml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("KEYCLAVE_CONFIG", raising=False)


def test_without_a_file_the_default_is_local_software_in_the_data_directory(tmp_path: Path) -> None:
    settings = load()
    assert settings.source is None
    assert settings.is_default
    assert settings.environment.type is EnvironmentType.LOCAL
    assert [backend.plugin for backend in settings.effective_backends.values()] == ["software"]
    assert settings.state.directory == tmp_path / "data" / "keyclave"


def test_a_full_file_is_read(tmp_path: Path) -> None:
    settings = load(
        write(
            tmp_path,
            """
            [environment]
            type = "staging"
            required_level = "TPM"
            precedence = ["pkcs11-hsm", "software"]
            [environment.rotation]
            interval = "30d"
            [environment.fallback]
            enabled = true
            max_duration = "2h"
            [environment.audit]
            retention = "P120D"
            [state]
            url = "sqlite:////var/lib/keyclave/state.db"
            [plugins]
            allow = ["pkcs11-hsm"]
            pin = { aws = "keyclave-aws" }
            [backends.hsm]
            plugin = "pkcs11-hsm"
            module = "/usr/lib/hsm.so"
            """,
        )
    )
    assert settings.environment.effective_level is SecurityLevel.TPM
    assert settings.environment.rotation.interval == timedelta(days=30)
    assert settings.environment.fallback.max_duration == timedelta(hours=2)
    assert settings.environment.audit.retention == timedelta(days=120)
    assert settings.backends["hsm"].plugin_settings == {"module": "/usr/lib/hsm.so"}
    assert settings.plugins.pin == {"aws": "keyclave-aws"}


@pytest.mark.parametrize(
    ("environment", "level"),
    [("production", "HSM"), ("staging", "HSM"), ("development", "SOFTWARE"), ("local", "SOFTWARE")],
)
def test_the_required_level_follows_the_environment(tmp_path: Path, environment: str, level: str) -> None:
    text = f'[environment]\ntype = "{environment}"\n[backends.hsm]\nplugin = "pkcs11-hsm"\n'
    assert load(write(tmp_path, text)).environment.effective_level == level


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[enviroment]\ntype = 'local'", "enviroment"),
        ("[environment]\ntipe = 'local'", "environment.tipe"),
        ("[environment]\ntype = 'prod'", "environment.type"),
        ("[backends.a]\nmodule = 'x'", "backends.a.plugin"),
        ("[backends.'a b']\nplugin = 'software'", "backends"),
        ("[environment.rotation]\ninterval = 'soon'", "environment.rotation.interval"),
        ("[environment]\ntype = 'production'", "FR-014"),
        ("[environment]\ntype = 'production'\n[backends.h]\nplugin = 'p'\naccept_simulator = true", "FR-014"),
        ("[backends.b]\nplugin = 'p'\n[backends.'a/../b']\nplugin = 'p'", "'a/../b' leads to that of another one"),
        ("[backends.'a/../../../x']\nplugin = 'p'", "leads to that of another one"),
        ("environment = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_refused_and_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = " + "[" * 100_000, "too deeply"),
        ("x = " + "1" * 5_000, "a number is too long"),
        ("#" * (1024 * 1024 + 1), "more than 1048576 bytes"),
        ('[state]\ndirectory = "a\\u0000b"', "a path cannot hold a NUL"),
        ('[state]\nkey_file = "a\\u0000b"', "a path cannot hold a NUL"),
    ],
    ids=["nested", "long number", "long file", "NUL in directory", "NUL in key_file"],
)
def test_a_file_that_no_parser_takes_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        load(write(tmp_path, text))


def test_a_file_name_with_a_nul_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds a NUL"):
        load("a\0b")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "missing.toml")


def test_a_wrong_value_is_not_repeated(tmp_path: Path) -> None:
    for text in ('[environment]\ntype = "hunter2"', 'pin = "hunter2', '[backends.a]\nplugin = ["hunter2"]'):
        with pytest.raises(ConfigurationError) as caught:
            load(write(tmp_path, text))
        assert "hunter2" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path, '[environment]\ntype = "development"\n[backends.hsm]\nplugin = "pkcs11-hsm"\ntoken = "a"\n'
    )
    monkeypatch.setenv("KEYCLAVE_ENVIRONMENT__TYPE", "staging")
    monkeypatch.setenv("KEYCLAVE_BACKENDS__HSM__PIN", "1234")
    settings = load(path)
    assert settings.environment.type is EnvironmentType.STAGING
    assert settings.backends["hsm"].plugin_settings == {"token": "a", "pin": "1234"}


@pytest.mark.parametrize(
    "variable",
    ["KEYCLAVE_ENVIROMENT__TYPE", "KEYCLAVE_ENVIRONMENT_TYPE", "KEYCLAVE_STATE__DIRECTRY", "KEYCLAVE_X__Y"],
)
def test_a_misspelt_variable_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "production")
    with pytest.raises(ConfigurationError, match=variable):
        load()


def test_variables_of_others_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KEYCLAVE_SERVICE_HOST", "KEYCLAVE_PORT_443_TCP", "MY_KEYCLAVE_X__Y"):
        monkeypatch.setenv(variable, "10.0.0.1")
    assert load().is_default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[environment]\ntipe = 'local'", "keyclave.toml: environment.tipe: there is no such setting"),
        ("[backend.disk]\nplugin = 'software'", "backend: there is no such table; there are environment, "),
        ("[environment.rotation]\ninterval = '30'", "interval: not a duration; write it as 90d, 24h, 30m or 10s"),
        ("[environment]\ntype = 'production'", "keyclave.toml: FR-014: production does not start on defaults"),
    ],
)
def test_a_refusal_speaks_of_settings_and_not_of_their_parser(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path, text))
    assert message in caught.value.message
    assert "Value error" not in caught.value.message


def test_a_home_directory_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    settings = load(write(tmp_path, '[state]\ndirectory = "~/keys"\nkey_file = "~/instance.key"'))
    assert settings.state.directory == tmp_path / "home" / "keys"
    assert settings.state.effective_key_file == tmp_path / "home" / "instance.key"
    with pytest.raises(ConfigurationError, match="home directory"):
        load(write(tmp_path, '[state]\ndirectory = "~no-such-user/keys"'))


@pytest.mark.parametrize("variable", ["KEYCLAVE_STATE__DIRECTORY", "KEYCLAVE_STATE__KEY_FILE"])
def test_a_path_set_to_nothing_is_not_the_working_directory(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    with pytest.raises(ConfigurationError, match=f"{variable}: an empty path"):
        load()


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("KEYCLAVE_ENVIRONMENT", '{"type": hunter2', "a KEYCLAVE_ environment variable cannot be parsed"),
        ("KEYCLAVE_ENVIRONMENT", '{"type": "hunter2"}', "environment.type: Input should be 'production', "),
        ("KEYCLAVE_ENVIRONMENT__TYP", "hunter2", "KEYCLAVE_ENVIRONMENT__TYP: there is no such setting"),
        ("KEYCLAVE_ENVIROMENT__TYPE", "hunter2", "the environment variable KEYCLAVE_ENVIROMENT__TYPE names no "),
        ("keyclave_enviroment__type", "hunter2", "the environment variable keyclave_enviroment__type names no "),
        ("KEYCLAVE__TYPE", "hunter2", "the environment variable KEYCLAVE__TYPE names no setting"),
    ],
)
def test_a_wrong_variable_is_refused_and_its_value_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert caught.value.message.startswith(problem)
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_a_table_may_come_from_one_variable_and_variables_of_others_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEYCLAVE_BACKENDS", '{"a": {"plugin": "acme", "slot": 7}}')
    monkeypatch.setenv("KEYCLAVE_SERVICE_HOST", "10.0.0.1")  # as Kubernetes sets it beside a service of that name
    assert load().backends["a"].plugin_settings == {"slot": 7}


@pytest.mark.parametrize("retention", ["9" * 20 + "d", "9" * 5000 + "d"], ids=["20 digits", "5000 digits"])
def test_a_duration_that_no_number_holds_is_refused(tmp_path: Path, retention: str) -> None:
    with pytest.raises(ConfigurationError, match=r"environment\.audit\.retention: .*longer than any duration can be"):
        load(write(tmp_path, f'[environment.audit]\nretention = "{retention}"'))


def test_the_settings_of_a_plugin_are_not_shown(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[backends.hsm]\nplugin = "pkcs11-hsm"\npin = "hunter2"'))
    assert settings.backends["hsm"].plugin_settings == {"pin": "hunter2"}
    assert "hunter2" not in f"{settings!r} {settings} {settings.backends['hsm']}"


def test_files_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = tmp_path / "config" / "keyclave"
    user.mkdir(parents=True)
    write(user, '[backends.user]\nplugin = "software"')
    assert list(load().backends) == ["user"]
    write(tmp_path, '[backends.here]\nplugin = "software"')
    assert list(load().backends) == ["here"]
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("KEYCLAVE_CONFIG", str(write(tmp_path / "named", '[backends.named]\nplugin = "software"')))
    assert list(load().backends) == ["named"]


@pytest.mark.usefixtures("bare_machine")
def test_opening_on_defaults_warns(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.WARNING, logger="keyclave"), keyclave.open() as clave:
        clave.keys.create("k", "ED25519")
    assert "no backend is configured" in caplog.text
    assert (tmp_path / "data" / "keyclave").stat().st_mode & 0o777 == 0o700


def test_production_refuses_a_software_backend(tmp_path: Path) -> None:
    text = f'[environment]\ntype = "production"\n[state]\ndirectory = "{tmp_path}/s"\n'
    text += '[backends.s]\nplugin = "software"\n'
    with keyclave.open(write(tmp_path, text)) as clave:
        with pytest.raises(keyclave.errors.PolicyViolation, match="FR-014"):
            clave.keys.create("k", "ED25519")
        assert clave.keys.list() == ()
        assert clave.backends.select().chosen is None
