"""The entry point ``pkcs11-hsm``: the settings, and a backend opened with them."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from keyclave_pkcs11_hsm.settings import Pkcs11Settings

__all__ = ["open_backend", "settings_model"]


@hookimpl
def settings_model() -> type[Pkcs11Settings]:
    """Return the settings below ``[backends.<id>]``."""
    return Pkcs11Settings


@hookimpl
def open_backend(settings: Pkcs11Settings, context: BackendContext) -> object:
    """Load the module, find the token, log in, look at what the token can do, and return the backend.

    Raises:
        ConfigurationError: the module may not be loaded, the token is ambiguous, or there is no PIN that it needs.
        AuthenticationFailed: the token refused the PIN, or one more wrong try would lock it.
        BackendUnavailable: the token is not there, or does not answer as it should.
    """
    from keyclave_pkcs11_hsm.opening import open_pkcs11_backend  # noqa: PLC0415  the SDK, only when opened

    return open_pkcs11_backend(settings, context)
