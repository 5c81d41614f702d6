"""The entry point ``software``: the settings, and a backend opened with them."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from keyclave_software.settings import SoftwareSettings

__all__ = ["open_backend", "settings_model"]


@hookimpl
def settings_model() -> type[SoftwareSettings]:
    """Return the settings below ``[backends.<id>]``."""
    return SoftwareSettings


@hookimpl
def open_backend(settings: SoftwareSettings, context: BackendContext) -> object:
    """Unlock the keystore, creating it the first time, and return the backend.

    Raises:
        ConfigurationError: the directory or a file is unsafe, or the keystore is protected in another way.
        AuthenticationFailed: the passphrase or the key file is not that of the keystore.
        IntegrityError: the keystore's own file was changed or is missing.
        BackendUnavailable: a file cannot be read or written.
    """
    from keyclave_software.opening import open_software_backend  # noqa: PLC0415  cryptography, only when opened

    return open_software_backend(settings, context)
