"""Each source of credentials is used when it is meant, named as what it is, and never replaced by another one."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aws_tests import metadata
from aws_tests.backends import REGION, NewLabel, Open, create
from aws_tests.metadata import Source
from keyclave.errors import AuthenticationFailed, BackendUnavailable, ConfigurationError, KeyclaveError, Throttled
from keyclave.models import AuthenticationMethod, EnvironmentType
from keyclave.plugin import KeyLabel
from keyclave_aws.credentials import Surroundings, choose_source, load_credentials
from keyclave_aws.settings import AwsSettings, CredentialSource
from keyclave_aws.tickets import EmptyKey
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from tests.services.kms.clients import client
from tests.services.kms.server import Running

PATH = "/latest/meta-data/iam/security-credentials/"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "none"}


@pytest.fixture
def source() -> Iterator[Source]:
    with metadata.running() as running:
        yield running


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def last_key(own_kms: Running) -> str:
    return own_kms.kms.calls[-1].access_key


@pytest.mark.needs("ministack")
def test_a_real_instance_metadata_service_gives_the_role_of_the_instance(
    open_backend: Open, ministack: str, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", ministack)
    backend = open_backend(ministack, credentials="instance-role")
    create(backend, new_label())
    assert backend.describe().credential_source == f"instance role, from the metadata service at {ministack}"
    assert backend.describe().authentication_method is AuthenticationMethod.MANAGED_IDENTITY


@pytest.mark.needs("ministack")
def test_a_real_sts_takes_a_web_identity(
    open_backend: Open, ministack: str, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/signer")
    set_all(monkeypatch, KEYS)
    backend = open_backend(ministack, credentials="auto")
    create(backend, new_label())
    described = backend.describe()
    assert described.credential_source is not None
    assert "web identity: arn:aws:iam::000000000000:role/signer" in described.credential_source
    assert "a.web.token" not in described.credential_source
    assert described.authentication_method is AuthenticationMethod.MANAGED_IDENTITY


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"), Throttled),
        (503, BackendUnavailable),
    ],
)
def test_an_sts_that_is_throttled_or_away_says_so(  # noqa: PLR0917  fixtures
    open_backend: Open,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answer: object,
    kind: type[KeyclaveError],
) -> None:
    (tmp_path / "token").write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/signer")
    source.answers["POST /"] = answer
    with pytest.raises(kind, match="no credentials from web identity"):
        open_backend(source.url, credentials="auto")
    assert len(source.asked) == 1


@pytest.mark.needs("ministack")
def test_a_web_identity_needs_nothing_else(
    open_backend: Open, ministack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/signer")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDALONE")  # without its other half, which nobody needs here
    described = open_backend(ministack, credentials="web-identity").describe()
    assert described.authentication_method is AuthenticationMethod.MANAGED_IDENTITY


@pytest.mark.parametrize("chosen", ["auto", "container"])
def test_a_container_role_comes_from_its_uri_with_its_token(
    open_backend: Open, own_kms: Running, source: Source, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    source.answers["GET /role"] = metadata.credentials("AKIDCONTAINER")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{source.url}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer of-the-pod")
    set_all(monkeypatch, KEYS)
    backend = open_backend(own_kms.endpoint, credentials=chosen)
    assert last_key(own_kms) == "AKIDCONTAINER"
    assert source.asked == [("GET /role", "Bearer of-the-pod")]
    described = backend.describe()
    assert described.credential_source == "container role, from the URI in AWS_CONTAINER_CREDENTIALS_FULL_URI"


def test_a_role_that_expires_in_the_middle_is_asked_for_again(
    open_backend: Open, own_kms: Running, source: Source, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.answers["GET /role"] = metadata.credentials("AKIDFIRST")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{source.url}/role")
    backend = open_backend(own_kms.endpoint, credentials="container")
    own_kms.kms.expired.add("AKIDFIRST")
    source.answers["GET /role"] = metadata.credentials("AKIDSECOND")
    create(backend, new_label())
    assert last_key(own_kms) == "AKIDSECOND"
    assert len(source.asked) == 2


@pytest.mark.parametrize("chosen", ["auto", "shared-file"])
def test_a_shared_file_has_profiles(
    open_backend: Open, own_kms: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = none\n"
        "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = none\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    backend = open_backend(own_kms.endpoint, credentials=chosen)
    assert last_key(own_kms) == "AKIDDEFAULT"
    assert backend.describe().credential_source == f"shared file {shared}, profile default"
    assert backend.describe().authentication_method is AuthenticationMethod.API_KEY
    open_backend(own_kms.endpoint, credentials="shared-file", profile="other")
    assert last_key(own_kms) == "AKIDOTHER"
    with pytest.raises(AuthenticationFailed, match="profile missing: there are none"):
        open_backend(own_kms.endpoint, credentials="shared-file", profile="missing")


def test_static_keys_come_from_files_that_nobody_else_may_read(
    open_backend: Open, own_kms: Running, secret_file: Path
) -> None:
    backend = open_backend(own_kms.endpoint)
    assert last_key(own_kms) == "AKIDTEST"
    assert backend.describe().credential_source == "settings (access_key_id)"
    secret_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="lets group or others in"):
        open_backend(own_kms.endpoint)
    secret_file.unlink()
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        open_backend(own_kms.endpoint)


def test_half_an_access_key_names_the_other_half(
    open_backend: Open, own_kms: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(AuthenticationFailed, match=r"environment variables.*: AWS_SECRET_ACCESS_KEY is missing"):
        open_backend(own_kms.endpoint, credentials="environment")


def around(environment: dict[str, str], kind: EnvironmentType = EnvironmentType.LOCAL) -> Surroundings:
    return Surroundings(environment_type=kind, environment=environment, accept_simulator=True)


EVERYTHING = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role",
    **KEYS,
    "AWS_PROFILE": "me",
}


@pytest.mark.parametrize("environment_type", list(EnvironmentType))
def test_the_order_is_from_sure_to_accidental(environment_type: EnvironmentType) -> None:
    settings, environment, order = AwsSettings(region=REGION), dict(EVERYTHING), []
    for name in [*EVERYTHING, None]:
        order.append(choose_source(settings, around(environment, environment_type)).value)
        environment.pop(name or "", None)
    accidental = ["environment", "environment", "shared-file"]
    if environment_type.is_strict:
        accidental = ["instance-role"] * 3
    assert order == ["web-identity", "container", accidental[0], accidental[2], accidental[2], "instance-role"]


@pytest.mark.parametrize("chosen", [source for source in CredentialSource if source is not CredentialSource.AUTO])
def test_a_source_that_is_named_is_the_one_in_production_as_well(chosen: CredentialSource, tmp_path: Path) -> None:
    keys = {"access_key_id": "A", "secret_access_key_file": tmp_path / "s"} if chosen == "static" else {}
    settings = AwsSettings(region=REGION, credentials=chosen, **keys)
    assert choose_source(settings, around(EVERYTHING, EnvironmentType.PRODUCTION)) is chosen


def broken_web_identity(source: Source, directory: Path) -> dict[str, str]:
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(directory / "missing"), "AWS_ROLE_ARN": "arn:aws:iam::0:role/x"}


def web_identity_without_role(source: Source, directory: Path) -> dict[str, str]:
    (directory / "token").write_text("t")
    return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(directory / "token")}


def broken_container(source: Source, directory: Path) -> dict[str, str]:
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{source.url}/nothing"}


def container_elsewhere(source: Source, directory: Path) -> dict[str, str]:
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/role"}


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (broken_web_identity, ConfigurationError),
        (web_identity_without_role, KeyclaveError),
        (broken_container, BackendUnavailable),
        (container_elsewhere, ConfigurationError),
    ],
)
def test_a_source_that_fails_is_not_replaced(  # noqa: PLR0917  fixtures
    open_backend: Open,
    own_kms: Running,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    break_it: Any,
    kind: type[KeyclaveError],
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    set_all(monkeypatch, {**KEYS, **break_it(source, tmp_path)})
    with pytest.raises(kind):
        open_backend(own_kms.endpoint, credentials="auto")
    assert own_kms.kms.calls == []


def instance(source: Source, role: str = "signer") -> dict[str, str]:
    """Let the source be an instance metadata service of version 2."""
    source.answers |= {
        "PUT /latest/api/token": "session",
        f"GET {PATH}": role,
        f"GET {PATH}{role}": metadata.credentials("AKIDINSTANCE"),
    }
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": source.url}


@pytest.mark.parametrize("missing", ["PUT /latest/api/token", f"GET {PATH}", f"GET {PATH}signer"])
def test_an_instance_without_role_or_without_version_2_is_not_replaced(
    open_backend: Open, own_kms: Running, source: Source, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    set_all(monkeypatch, {**KEYS, **instance(source)})
    open_backend(own_kms.endpoint, credentials="instance-role")
    assert last_key(own_kms) == "AKIDINSTANCE"
    before = len(own_kms.kms.calls)
    del source.answers[missing]
    with pytest.raises(BackendUnavailable, match=r"metadata.*: it does not answer, or has no role") as refused:
        open_backend(own_kms.endpoint, credentials="instance-role")
    assert "Elsewhere than on an instance, set `credentials`" in refused.value.next_step
    assert len(own_kms.kms.calls) == before


def test_credentials_of_the_instance_never_pass_through_a_proxy(
    open_backend: Open, own_kms: Running, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    set_all(monkeypatch, {**instance(source), "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""})
    with pytest.raises(ConfigurationError, match="proxy"):
        open_backend(own_kms.endpoint, credentials="instance-role")
    assert source.asked == []


def test_metadata_come_from_elsewhere_for_simulators_only(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AwsSettings(region=REGION, credentials=CredentialSource.INSTANCE_ROLE)
    strict = Surroundings(
        environment_type=EnvironmentType.PRODUCTION, environment=instance(source), accept_simulator=False
    )
    with pytest.raises(BackendUnavailable):  # AWS_EC2_METADATA_DISABLED keeps the test from asking the real address
        load_credentials(settings, strict, lambda: None)
    assert source.asked == []


def test_a_traceback_with_variables_shows_no_secret(source: Source) -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": "a-secret-key", "AWS_SESSION_TOKEN": "a-token"}
    settings = AwsSettings(region=REGION, credentials=CredentialSource.CONTAINER)
    with pytest.raises(KeyclaveError) as failed:
        load_credentials(settings, around(environment), lambda: None)
    error = failed.value
    assert error.__traceback__ is not None
    shown = Traceback.from_exception(  # without the frame of this test
        type(error),
        error,
        error.__traceback__.tb_next,
        show_locals=True,
        locals_max_length=1000,
        locals_max_string=1000,
    )
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(shown)
    text = console.export_text()
    assert "around = Surroundings" in text
    assert "a-secret-key" not in text
    assert "a-token" not in text
    assert "a-token" not in pretty_repr(EmptyKey(arn="arn", token=b"a-token", begun=False))


def test_nothing_else_in_the_environment_changes_where_or_as_whom_is_called(
    open_backend: Open, own_kms: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-3\nmax_attempts = 9\n")
    elsewhere = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:9",
        "AWS_PROFILE": "nobody",
        "AWS_REGION": "eu-west-3",
        "AWS_DEFAULT_REGION": "eu-west-3",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "9",
    }
    set_all(monkeypatch, {**KEYS, **elsewhere})
    backend = open_backend(own_kms.endpoint)
    assert last_key(own_kms) == "AKIDTEST"
    meta: Any = backend._kms._connection.client.meta
    assert meta.endpoint_url == own_kms.endpoint
    assert meta.region_name == REGION
    assert meta.config.retries["total_max_attempts"] == 1


def test_the_sdk_logs_neither_plaintexts_nor_credentials(
    open_backend: Open,
    own_kms: Running,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    role = {
        **metadata.credentials("AKIDLOGGED"),
        "SecretAccessKey": "secret-of-the-role",
        "Token": "token-of-the-role",
    }
    source.answers["GET /role"] = role
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{source.url}/role")
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "boto3", "botocore.parsers", "botocore.endpoint"):
        caplog.set_level(logging.DEBUG, logger=name)
    backend = open_backend(own_kms.endpoint, credentials="container")
    label = KeyLabel(instance_id=uuid4(), key_id=uuid4(), version=1, operation_id=uuid4())
    key = create(backend, label, "AES_256").reference
    ciphertext = backend.encrypt(key=key, plaintext=b"a data key", aad=b"").ciphertext
    backend.decrypt(key=key, ciphertext=ciphertext, aad=b"")
    assert not [record for record in caplog.records if record.name.startswith(("botocore", "boto3"))]
    client(own_kms.endpoint).list_keys()
    assert [record for record in caplog.records if record.name == "botocore.endpoint"]
