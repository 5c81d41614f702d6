"""What child processes do with a token."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, KeyLabel
from keyclave_pkcs11_hsm import plugin
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import create

__all__ = ["create_in_child", "open_in_child"]


def open_in_child(module: str, token: str, pin_file: str, directory: str, instance_id: UUID) -> Pkcs11Backend:
    context = BackendContext(
        backend_id="hsm",
        instance_id=instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=Path(directory),
    )
    path = Path(module).resolve()
    settings = plugin.settings_model()(module=path, allowed_modules=(path,), token=token, pin_file=Path(pin_file))
    backend = plugin.open_backend(settings, context)
    assert isinstance(backend, Pkcs11Backend)
    return backend


def create_in_child(module: str, token: str, pin_file: str, directory: str, labels: list[str]) -> list[str]:
    """Create keys and return their addresses."""
    parsed = [KeyLabel.parse(label) for label in labels]
    backend = open_in_child(module, token, pin_file, directory, parsed[0].instance_id)
    try:
        return [create(backend, label, "ECDSA_P256").reference.uri for label in parsed]
    finally:
        backend.close()
