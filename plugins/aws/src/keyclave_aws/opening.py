"""Open AWS KMS: credentials, client, and one question."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from keyclave.errors import ConfigurationError
from keyclave.plugin import BackendContext

from keyclave_aws.backend import AwsBackend
from keyclave_aws.connecting import connect
from keyclave_aws.connection import Kms
from keyclave_aws.health import look
from keyclave_aws.settings import AwsSettings

__all__ = ["open_aws_backend"]

_POLICY_LIMIT = 32 * 1024  # PolicyType in the model of KMS


def open_aws_backend(settings: AwsSettings, context: BackendContext) -> AwsBackend:
    """Return the opened backend; `keyclave_aws.plugin.open_backend` says what is raised."""
    key_policy = None if settings.key_policy_file is None else _key_policy(settings.key_policy_file)
    kms = Kms(partial(connect, settings, context))
    try:
        look(kms, settings.alias_prefix)  # which opens the first connection as well
    except BaseException:
        kms.close()
        raise
    return AwsBackend(kms, settings, context, key_policy)


def _key_policy(path: Path) -> str:
    try:
        policy = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it is not UTF-8"
    else:
        if len(policy) <= _POLICY_LIMIT:
            return policy
        problem = f"it is longer than {_POLICY_LIMIT} characters"
    raise ConfigurationError(f"key_policy_file {path} cannot be used: {problem}")
