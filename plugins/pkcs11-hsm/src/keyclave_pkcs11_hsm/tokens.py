"""Find the one token that the settings name."""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.errors import BackendUnavailable, ConfigurationError
from pkcs11 import Token
from pkcs11.exceptions import TokenNotPresent, TokenNotRecognised

from keyclave_pkcs11_hsm.modules import Module

__all__ = ["find_token", "serial_of"]


def find_token(module: Module, label: str, serial: str | None) -> Token:
    """Return the token with this label, and this serial number if one is named.

    Raises:
        BackendUnavailable: there is none now.
        ConfigurationError: there are several.
        PKCS11Error: the module does not say what tokens there are.
    """
    found = [token for token in _tokens(module) if token.label == label and serial in (None, serial_of(token))]
    if not found:
        which = f"{label!r}" if serial is None else f"{label!r} with serial number {serial}"
        raise BackendUnavailable(
            f"module {module.path} has no token {which}",
            next_step="Check that it is connected, and that token and serial name it as its maker's tool lists it.",
        )
    if len(found) > 1:
        serials = ", ".join(sorted(map(serial_of, found)))
        raise ConfigurationError(
            f"module {module.path} has {len(found)} tokens {label!r}, with serial numbers {serials}",
            next_step="Set serial, or give the tokens different labels.",
        )
    return found[0]


def serial_of(token: Token) -> str:
    """Return the serial number of a token as text."""
    return token.serial.decode(errors="backslashreplace")


def _tokens(module: Module) -> Iterator[Token]:
    for slot in module.library.get_slots(token_present=True):
        try:
            yield slot.get_token()
        except (TokenNotPresent, TokenNotRecognised):
            continue
