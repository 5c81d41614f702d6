"""The settings of one token, those below ``[backends.<id>]``. The PIN is named by file or variable only."""

from __future__ import annotations

from typing import Annotated, Self

from keyclave.errors import InvalidArgument
from keyclave.plugin.paths import PathFromHome
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = ["Pkcs11Settings"]

_LABEL_BYTES = 32  # CK_TOKEN_INFO, PKCS#11 2.40, section 3.2


def _fitting_label(label: str) -> str:
    if len(label.encode()) not in range(1, _LABEL_BYTES + 1):
        raise InvalidArgument(f"the label of a token has 1 to {_LABEL_BYTES} bytes")
    return label


class Pkcs11Settings(BaseModel):
    """Which module, which token, and where its PIN comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    module: PathFromHome
    """The PKCS#11 module: a shared library of the token's maker."""
    allowed_modules: tuple[PathFromHome, ...] = ()
    """Real paths of modules that may be loaded. Empty: what is in a directory where the system installs libraries."""
    module_parameters: str | None = None
    """What the module must be given when it is initialised (`pReserved`); NSS wants it, most others do not."""
    token: Annotated[str, AfterValidator(_fitting_label)]
    """Label of the token."""
    serial: str | None = None
    """Serial number of the token, where several have that label."""
    pin_file: PathFromHome | None = None
    """File with the user PIN, mode 0600. One line break at its end is ignored."""
    pin_variable: str | None = Field(default=None, min_length=1)
    """Name of the environment variable with the user PIN."""
    read_only: bool = False
    """Use keys, and refuse to create, import or destroy any."""
    sessions: int = Field(default=16, ge=1, le=256)
    """The most sessions that are open for calls at once; one more is open to stay logged in."""

    @model_validator(mode="after")
    def _check_pin(self) -> Self:
        if self.pin_file is not None and self.pin_variable is not None:
            raise InvalidArgument("pin_file and pin_variable exclude each other")
        return self
