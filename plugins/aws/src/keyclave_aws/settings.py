"""The settings of one account and region, those below ``[backends.<id>]``. Secrets are named by file only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from keyclave.errors import InvalidArgument
from keyclave.plugin.paths import PathFromHome
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from keyclave_aws.endpoints import checked_endpoint, region_of

__all__ = ["AwsSettings", "CredentialSource"]


class CredentialSource(StrEnum):
    """Where the credentials come from."""

    AUTO = "auto"
    WEB_IDENTITY = "web-identity"
    CONTAINER = "container"
    INSTANCE_ROLE = "instance-role"
    ENVIRONMENT = "environment"
    SHARED_FILE = "shared-file"
    STATIC = "static"


def _not_reserved(prefix: str) -> str:
    if prefix == "aws":
        raise InvalidArgument("AWS keeps the aliases that begin with aws to itself")
    return prefix


class AwsSettings(BaseModel):
    """Which region, as whom, and how keys are made."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        defer_build=True,  # a plugin is imported wherever it is installed, and used in few places
    )

    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")] | None = None
    """Region, such as `eu-central-1`; needed unless the endpoint names it."""
    endpoint: Annotated[str, AfterValidator(checked_endpoint)] | None = None
    """URL to use instead of the region's own; plain http only to this machine, and with `accept_simulator`."""
    fips: bool = False
    """Use the region's FIPS endpoint."""
    credentials: CredentialSource = CredentialSource.AUTO
    """Where the credentials come from."""
    profile: Annotated[str, StringConstraints(min_length=1)] | None = None
    """Profile in AWS's shared files, with `credentials = "shared-file"`; unset: `default`."""
    access_key_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,128}$")] | None = None
    """Access key, with `credentials = "static"`."""
    secret_access_key_file: PathFromHome | None = None
    """File with the secret access key, mode 0600. One line break at its end is ignored."""
    session_token_file: PathFromHome | None = None
    """File with the session token of a temporary access key, mode 0600."""
    alias_prefix: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AfterValidator(_not_reserved)
    ] = "keyclave"
    """First part of the aliases of keys, after `alias/`."""
    deletion_days: int = Field(default=30, ge=7, le=30)
    """Days between a destruction and the end of the key, in which it can be called off."""
    key_policy_file: PathFromHome | None = None
    """File with the key policy for new keys, JSON; unset: AWS's default, which leaves it to IAM."""
    multi_region: bool = False
    """Make keys that can be replicated to other regions."""
    custom_key_store_id: Annotated[str, StringConstraints(pattern=r"^cks-[0-9a-f]{1,60}$")] | None = None
    """CloudHSM key store for new keys, which are then AES_256 only."""

    @model_validator(mode="after")
    def _check_region(self) -> Self:
        named = None if self.endpoint is None else region_of(self.endpoint)
        if self.region is None and named is None:
            raise InvalidArgument("region is missing, and the endpoint does not name one")
        if self.region is not None and named is not None and self.region != named:
            raise InvalidArgument(f"the endpoint is one of {named}, not of the region {self.region}")
        if self.fips and self.endpoint is not None:
            raise InvalidArgument("fips and endpoint exclude each other: name the FIPS endpoint instead")
        return self

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.profile is not None and self.credentials is not CredentialSource.SHARED_FILE:
            raise InvalidArgument('profile needs credentials = "shared-file"')
        static = self.credentials is CredentialSource.STATIC
        if static and (self.access_key_id is None or self.secret_access_key_file is None):
            raise InvalidArgument('credentials = "static" needs access_key_id and secret_access_key_file')
        if not static and (self.access_key_id or self.secret_access_key_file or self.session_token_file):
            raise InvalidArgument('access keys need credentials = "static"')
        return self

    @model_validator(mode="after")
    def _check_key_store(self) -> Self:
        if self.multi_region and self.custom_key_store_id is not None:
            raise InvalidArgument("keys of a custom key store cannot be multi-region")
        return self

    @property
    def effective_region(self) -> str:
        """The region, from the settings or from the endpoint."""
        return self.region or region_of(self.endpoint or "") or ""
