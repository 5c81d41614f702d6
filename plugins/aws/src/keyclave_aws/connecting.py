"""Make a client of AWS KMS from the settings alone: nothing in the environment or in AWS's files changes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.loaders import Loader
from botocore.session import Session
from keyclave.errors import ConfigurationError
from keyclave.plugin import BackendContext

from keyclave_aws.connection import Connection
from keyclave_aws.credentials import Surroundings, load_credentials
from keyclave_aws.endpoints import is_aws, is_plain
from keyclave_aws.settings import AwsSettings
from keyclave_aws.silence import SILENCE
from keyclave_aws.whole_answers import require_kms, require_whole

__all__ = ["connect"]

# For each the key in a file of AWS, the environment variable, the default, and how it is read. Without a key and a
# variable only the default is left: some of them move the calls, and AWS_CSM_HOST sends session tokens elsewhere.
_VARIABLES = {
    **{name: (None, None, default, read) for name, (_, _, default, read) in Session.SESSION_VARIABLES.items()},
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CONNECTIONS = 64
"""As many as the core has threads for a backend: a call never waits for a connection."""


def connect(settings: AwsSettings, context: BackendContext) -> Connection:
    """Return a new connection, with credentials that were loaded now.

    Raises:
        ConfigurationError: plain http without ``accept_simulator``, a source of credentials that is not there, or
            certificates that are not.
        AuthenticationFailed: there are no credentials.
        BackendUnavailable: their source cannot be reached.
    """
    if settings.endpoint is not None and is_plain(settings.endpoint) and not context.accept_simulator:
        raise ConfigurationError(
            "the endpoint is plain http, as only emulators are",
            next_step="Use https, or set accept_simulator outside production.",
        )
    with SILENCE:
        SILENCE.watch()
        connection = _connect(settings, context)
        SILENCE.watch()  # and the loggers that the SDK made meanwhile
    return connection


def _connect(settings: AwsSettings, context: BackendContext) -> Connection:
    around = Surroundings(
        environment_type=context.environment_type,
        environment=os.environ,
        accept_simulator=context.accept_simulator,
    )

    def sts(*_: Any, **__: Any) -> Any:
        # A web identity needs no credentials to become some. An emulator has its STS where its KMS is.
        elsewhere = None if settings.endpoint is None or is_aws(settings.endpoint) else settings.endpoint
        return _client(_session(), "sts", settings, elsewhere)

    credentials, identity = load_credentials(settings, around, sts)
    session = _session(_Loaded(credentials))
    client = _client(session, "kms", settings, settings.endpoint)
    client.meta.events.register("before-parse", require_kms)
    return Connection(client=client, identity=identity, ca_bundle=_authorities())


class _Loaded(CredentialProvider):
    """A provider of credentials that are there already."""

    METHOD = "keyclave"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        return self._credentials


def _session(*providers: CredentialProvider) -> Session:
    session = Session(session_vars=_VARIABLES)
    # Without any as well: the SDK would look for some in the environment, and ask for metadata of the instance.
    session.register_component("credential_provider", CredentialResolver(list(providers)))
    # Only the SDK's own data: rules in ~/.aws/models would say where the calls of KMS go.
    own = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    session.register_component("data_loader", own)
    return session


def _client(session: Session, service: Any, settings: AwsSettings, endpoint: str | None) -> Any:
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 1},  # the core repeats calls, within its budget
        max_pool_connections=_CONNECTIONS,
        use_fips_endpoint=settings.fips,
        use_dualstack_endpoint=False,
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs do not know it yet
        tcp_keepalive=True,
    )
    client = boto3.Session(botocore_session=session).client(
        service,
        region_name=settings.effective_region,
        endpoint_url=endpoint,
        verify=_authorities() or True,  # without it REQUESTS_CA_BUNDLE would say so
        config=config,
    )
    client.meta.events.register("before-parse", require_whole)
    return client


def _authorities() -> str | None:
    """Return the file with the authorities whose certificates are believed; ``None`` for those of the SDK."""
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle is not None and (not bundle.strip() or not Path(bundle).exists()):
        raise ConfigurationError(
            "AWS_CA_BUNDLE names no file", next_step="Unset it, or let it name a file with certificates in PEM."
        )
    return bundle
