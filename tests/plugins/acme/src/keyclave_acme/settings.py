"""The settings of the plugin."""

from __future__ import annotations

from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import Location, SignatureEncoding, SigningInput
from pydantic import BaseModel, SecretStr


class AcmeSettings(BaseModel, extra="forbid", frozen=True):
    """Where it pretends to be, and how it signs."""

    location: Location = Location.IN_PROCESS
    input: SigningInput = SigningInput.MESSAGE
    encoding: SignatureEncoding = SignatureEncoding.DER
    level: SecurityLevel = SecurityLevel.SOFTWARE
    authentication: AuthenticationMethod = AuthenticationMethod.PROCESS_IDENTITY
    credential_named: bool = False
    page_size: int = 2
    min_plaintext: int = 0
    max_plaintext: int = 64
    binds_aad: bool = True
    contract: str = "2026.11"
    pin: SecretStr = SecretStr("")
