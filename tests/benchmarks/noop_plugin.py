"""A plugin whose backend does nothing but return, so that what remains is Keyclave's own cost.

It is laid out as an installed distribution in a scratch directory, and found like any other.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["install"]

_PLUGIN = """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import (
    AlgorithmSupport, BackendDescription, CreatedKey, KeyReference, Location, SchemeSupport, SignatureEncoding,
    Signed, SigningInput, hookimpl,
)
from pydantic import BaseModel

SPKI = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SIGNED = Signed(signature=bytes(64))


class Settings(BaseModel, extra="forbid"):
    pass


class Backend:
    @hookimpl
    def describe(self):
        scheme = SchemeSupport(scheme="ED25519", input=SigningInput.MESSAGE, encoding=SignatureEncoding.RAW)
        return BackendDescription(
            contract="2026.11", provider_type="noop", security_level=SecurityLevel.SOFTWARE, evidence=(),
            location=Location.IN_PROCESS,
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            algorithms=(AlgorithmSupport(algorithm="ED25519", schemes=(scheme,)),))

    @hookimpl
    def create_key(self, request):
        reference = KeyReference(label=request.label, uri="noop:key", algorithm=request.algorithm)
        return CreatedKey(reference=reference, public_key=SPKI, exportable=False, hsm_backed=False)

    @hookimpl
    def sign(self, key, data, scheme):
        return SIGNED


@hookimpl
def settings_model():
    return Settings


@hookimpl
def open_backend(settings, context):
    return Backend()
"""


def install(directory: Path) -> None:
    """Write the distribution into a directory, which the caller puts on ``sys.path``."""
    (directory / "keyclave_noop.py").write_text(_PLUGIN)
    metadata = directory / "keyclave_noop-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: keyclave-noop\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[keyclave.backends]\nnoop = keyclave_noop\n")
