"""Where the credentials come from: one source, chosen by what is configured, and no other one if it fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.credentials import (
    AssumeRoleWithWebIdentityProvider,
    ConfigProvider,
    ContainerProvider,
    Credentials,
    EnvProvider,
    InstanceMetadataProvider,
    SharedCredentialProvider,
)
from botocore.exceptions import BotoCoreError, ClientError, MetadataRetrievalError
from botocore.parsers import ResponseParserError
from botocore.utils import METADATA_BASE_URL, InstanceMetadataFetcher, get_environ_proxies
from keyclave.errors import AuthenticationFailed, BackendUnavailable, ConfigurationError, KeyclaveError
from keyclave.models import AuthenticationMethod, EnvironmentType
from keyclave.plugin import Record
from keyclave.plugin.files import read_private

from keyclave_aws.errors import translate
from keyclave_aws.settings import AwsSettings, CredentialSource

__all__ = ["Identity", "Surroundings", "choose_source", "load_credentials"]

_TOKEN_FILE, _ROLE = "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_ACCESS_KEY, _PROFILE, _METADATA = "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_METADATA_SECONDS, _METADATA_ATTEMPTS = 1, 2
_LIMIT = 16 * 1024  # a session token has one to two KiB


class Identity(Record, frozen=True, kw_only=True):
    """As whom the backend calls AWS.

    Attributes:
        source: where the credentials came from, in a sentence without secrets.
        method: how that proves this process's identity (FR-023).
        named: whether the settings name the source.
    """

    source: str
    method: AuthenticationMethod
    named: bool = False


class Surroundings(Record, frozen=True, kw_only=True):
    """What the choice of credentials may look at.

    Attributes:
        environment_type: where we run.
        environment: the environment variables.
        accept_simulator: whether the instance metadata may come from elsewhere than the address of AWS.
    """

    environment_type: EnvironmentType
    environment: Mapping[str, str]
    accept_simulator: bool

    def __repr__(self) -> str:
        return f"Surroundings(environment_type={self.environment_type!r}, environment=<{len(self.environment)}>)"


def choose_source(settings: AwsSettings, around: Surroundings) -> CredentialSource:
    """Return the source that the settings name; for ``auto`` the first one that is configured here.

    That is a web identity, then a container role. Outside production and staging come environment variables and
    shared files next, which anybody can leave lying about; last the role of the instance, for which the network must
    be asked.
    """
    if settings.credentials is not CredentialSource.AUTO:
        return settings.credentials
    environment = around.environment
    if _TOKEN_FILE in environment:
        return CredentialSource.WEB_IDENTITY
    if any(name in environment for name in _CONTAINER):
        return CredentialSource.CONTAINER
    if not around.environment_type.is_strict:
        if _ACCESS_KEY in environment:
            return CredentialSource.ENVIRONMENT
        if _PROFILE in environment or any(file.exists() for file in _shared_files(environment)):
            return CredentialSource.SHARED_FILE
    return CredentialSource.INSTANCE_ROLE


def load_credentials(
    settings: AwsSettings, around: Surroundings, client_creator: Callable[..., Any]
) -> tuple[Credentials, Identity]:
    """Return credentials that were loaded now, and renew themselves if their source can.

    Args:
        settings: the settings of the backend.
        around: what the choice may look at.
        client_creator: makes the client of STS, for a web identity.

    Raises:
        ConfigurationError: the source is not there, or is not what it should be.
        AuthenticationFailed: the source has no credentials, or AWS does not take what it gave.
        BackendUnavailable: the source cannot be reached.
    """
    source = choose_source(settings, around)
    load, identity = _SOURCES[source](settings, around, client_creator)
    try:
        credentials = load()
        if credentials is not None:
            credentials.get_frozen_credentials()  # a web identity asks only now
            named = settings.credentials is source
            return credentials, Identity(source=identity.source, method=identity.method, named=named)
        failure: KeyclaveError = _nothing_from(source, identity)
    except MetadataRetrievalError:  # nobody answers, as on a machine that is no instance
        failure = _nothing_from(source, identity)
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        failure = translate(error, changes=False)
        failure.message = f"no credentials from {identity.source}: {failure.message}"
    except (OSError, LookupError, TypeError, ValueError) as error:
        failure = ConfigurationError(
            f"no credentials from {identity.source}: {type(error).__name__}",
            next_step="Check the files and variables that this source reads.",
        )
    raise failure


_Loading = tuple[Callable[[], Credentials | None], Identity]


def _managed(source: str) -> Identity:
    return Identity(source=source, method=AuthenticationMethod.MANAGED_IDENTITY)


def _keys(source: str) -> Identity:
    return Identity(source=source, method=AuthenticationMethod.API_KEY)


def _web_identity(_: AwsSettings, around: Surroundings, client_creator: Callable[..., Any]) -> _Loading:
    provider = AssumeRoleWithWebIdentityProvider(
        load_config=dict, client_creator=client_creator, profile_name="default", cache={}
    )
    role = around.environment.get(_ROLE, "a role that AWS_ROLE_ARN does not name")
    return provider.load, _managed(f"web identity: {role}, with the token in AWS_WEB_IDENTITY_TOKEN_FILE")


def _container(_: AwsSettings, around: Surroundings, __: Callable[..., Any]) -> _Loading:
    name = next((name for name in _CONTAINER if name in around.environment), _CONTAINER[0])
    return ContainerProvider(environ=around.environment).load, _managed(f"container role, from the URI in {name}")


def _instance_role(_: AwsSettings, around: Surroundings, __: Callable[..., Any]) -> _Loading:
    elsewhere = around.environment.get(_METADATA) if around.accept_simulator else None
    address = elsewhere or METADATA_BASE_URL
    if get_environ_proxies(address):
        raise ConfigurationError(
            "the credentials of the instance would pass through a proxy",
            next_step=f"Add the host of {address} to NO_PROXY.",
        )
    fetcher = InstanceMetadataFetcher(
        timeout=_METADATA_SECONDS,
        num_attempts=_METADATA_ATTEMPTS,
        base_url=address,
        config={"ec2_metadata_v1_disabled": True},  # version 1 answers whoever can send a GET from here
    )
    return InstanceMetadataProvider(fetcher).load, _managed(f"instance role, from the metadata service at {address}")


def _environment(_: AwsSettings, around: Surroundings, __: Callable[..., Any]) -> _Loading:
    return EnvProvider(environ=around.environment).load, _keys("environment variables (AWS_ACCESS_KEY_ID)")


def _shared_file(settings: AwsSettings, around: Surroundings, _: Callable[..., Any]) -> _Loading:
    profile = settings.profile or around.environment.get(_PROFILE) or "default"
    credentials_file, config_file = _shared_files(around.environment)

    def load() -> Credentials | None:
        shared = SharedCredentialProvider(str(credentials_file), profile_name=profile)
        configured = ConfigProvider(str(config_file), profile_name=profile)
        return shared.load() or configured.load()

    return load, _keys(f"shared file {credentials_file}, profile {profile}")


def _static(settings: AwsSettings, _: Surroundings, __: Callable[..., Any]) -> _Loading:
    def load() -> Credentials:
        token = settings.session_token_file
        return Credentials(
            settings.access_key_id or "",
            _secret(settings.secret_access_key_file),
            None if token is None else _secret(token),
            method="static",
        )

    return load, _keys("settings (access_key_id)")


def _secret(path: Path | None) -> str:
    if path is None:
        raise ConfigurationError('credentials = "static" needs secret_access_key_file')
    return read_private(path, limit=_LIMIT).decode("ascii").removesuffix("\n").removesuffix("\r")


def _shared_files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config = environment.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return Path(os.path.expanduser(credentials)), Path(os.path.expanduser(config))  # noqa: PTH111  ~ may have no home


def _nothing_from(source: CredentialSource, identity: Identity) -> AuthenticationFailed | BackendUnavailable:
    if source is CredentialSource.INSTANCE_ROLE:
        return BackendUnavailable(
            f"no credentials from {identity.source}: it does not answer, or has no role",
            next_step="Give the instance a role (and a hop limit of 2 for containers). Elsewhere than on an "
            "instance, set `credentials` to another source, and see that it is there.",
        )
    return AuthenticationFailed(
        f"no credentials from {identity.source}: there are none",
        next_step="Put them there, or set `credentials` to the source that you mean.",
    )


_SOURCES: Mapping[CredentialSource, Callable[[AwsSettings, Surroundings, Callable[..., Any]], _Loading]] = {
    CredentialSource.WEB_IDENTITY: _web_identity,
    CredentialSource.CONTAINER: _container,
    CredentialSource.INSTANCE_ROLE: _instance_role,
    CredentialSource.ENVIRONMENT: _environment,
    CredentialSource.SHARED_FILE: _shared_file,
    CredentialSource.STATIC: _static,
}
