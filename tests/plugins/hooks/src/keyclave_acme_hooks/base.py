"""What the plugins of this package do right, so that each does one thing wrong."""

from __future__ import annotations

from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import (
    AlgorithmSupport,
    BackendDescription,
    Location,
    SchemeSupport,
    SignatureEncoding,
    SigningInput,
    hookimpl,
)
from pydantic import BaseModel


class Settings(BaseModel, extra="forbid"):
    """None."""


@hookimpl
def settings_model() -> type[BaseModel]:
    return Settings


class Described:
    """A backend that can say what it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    @hookimpl
    def describe(self) -> BackendDescription:
        ed25519 = SchemeSupport(scheme="ED25519", input=SigningInput.MESSAGE, encoding=SignatureEncoding.RAW)
        return BackendDescription(
            contract="2026.11",
            provider_type=self._name,
            security_level=SecurityLevel.SOFTWARE,
            evidence=(),
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            location=Location.IN_PROCESS,
            algorithms=(AlgorithmSupport(algorithm="ED25519", schemes=(ed25519,)),),
        )
