"""The settings of one token, those below ``[backends.<id>]``. The PIN is named by file or variable only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from keyclave.errors import InvalidArgument
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Pkcs11Settings"]

_LABEL_BYTES = 32  # CK_TOKEN_INFO, PKCS#11 2.40, section 3.2


def _not_empty(path: Any) -> Any:
    if path == "":
        raise InvalidArgument("must not be empty")
    return path


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise InvalidArgument("nobody knows the home directory that ~ stands for here") from None


def _fitting_label(label: str) -> str:
    if len(label.encode()) not in range(1, _LABEL_BYTES + 1):
        raise InvalidArgument(f"the label of a token has 1 to {_LABEL_BYTES} bytes")
    return label


# An environment variable that is set to nothing must not stand for the working directory.
_NamedPath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_expand_home)]


class Pkcs11Settings(BaseModel):
    """Which module, which token, and where its PIN comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    module: _NamedPath
    """The PKCS#11 module: a shared library of the token's maker."""
    allowed_modules: tuple[_NamedPath, ...] = ()
    """Real paths of modules that may be loaded. Empty: what is in a directory where the system installs libraries."""
    module_parameters: str | None = None
    """What the module must be given when it is initialised (`pReserved`); NSS wants it, most others do not."""
    token: Annotated[str, AfterValidator(_fitting_label)]
    """Label of the token."""
    serial: str | None = None
    """Serial number of the token, where several have that label."""
    pin_file: _NamedPath | None = None
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
