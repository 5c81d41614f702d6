"""What child processes do with a token."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from uuid import UUID

from keyclave.errors import BackendUnavailable
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, KeyLabel
from keyclave_pkcs11_hsm import plugin
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import create

__all__ = ["create_in_child", "open_in_child"]

_TRIES = 20


def open_in_child(module: str, token: str, pin_file: str, directory: str, instance_id: UUID) -> Pkcs11Backend:
    context = BackendContext(
        backend_id="hsm",
        instance_id=instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=Path(directory),
    )
    path = Path(module).resolve()
    settings = plugin.settings_model()(module=path, allowed_modules=(path,), token=token, pin_file=Path(pin_file))
    for _ in range(_TRIES):
        # SoftHSM cannot always be opened while another process changes its token; the core tries again as well.
        with contextlib.suppress(BackendUnavailable):
            backend = plugin.open_backend(settings, context)
            assert isinstance(backend, Pkcs11Backend)
            return backend
        time.sleep(0.1)
    raise AssertionError("the token stays unavailable")


def create_in_child(module: str, token: str, pin_file: str, directory: str, labels: list[str]) -> list[str]:
    """Create keys and return their addresses."""
    parsed = [KeyLabel.parse(label) for label in labels]
    backend = open_in_child(module, token, pin_file, directory, parsed[0].instance_id)
    try:
        return [create(backend, label, "ECDSA_P256").reference.uri for label in parsed]
    finally:
        backend.close()
