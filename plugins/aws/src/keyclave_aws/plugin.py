"""The entry point ``aws``: the settings, a backend opened with them, and the permissions that it needs."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from keyclave_aws.settings import AwsSettings

__all__ = ["open_backend", "permissions_policy", "settings_model"]


@hookimpl
def settings_model() -> type[AwsSettings]:
    """Return the settings below ``[backends.<id>]``."""
    return AwsSettings


@hookimpl
def permissions_policy(settings: AwsSettings | None) -> str:
    """Return the IAM policy with all that the backend calls, and no more."""
    from keyclave_aws.permissions import policy_document  # noqa: PLC0415  not needed to open a backend

    return policy_document(settings)


@hookimpl
def open_backend(settings: AwsSettings, context: BackendContext) -> object:
    """Find the credentials, connect to AWS KMS, ask it one question, and return the backend.

    Raises:
        ConfigurationError: the settings do not fit, or the source of the credentials is not there.
        AuthenticationFailed: AWS refused the credentials.
        AccessDenied: the identity may not even look at keys.
        BackendUnavailable: AWS, or the source of the credentials, cannot be reached.
    """
    from keyclave_aws.opening import open_aws_backend  # noqa: PLC0415  the SDK, only when opened

    return open_aws_backend(settings, context)
