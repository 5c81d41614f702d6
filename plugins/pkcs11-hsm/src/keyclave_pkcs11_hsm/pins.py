"""The user PIN: read from its file or variable, tried once, and never again after the token refused it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from pathlib import Path

from keyclave.errors import ConfigurationError
from keyclave.plugin.files import read_private
from pydantic import SecretBytes

from keyclave_pkcs11_hsm.settings import Pkcs11Settings

__all__ = ["RefusedPins", "read_pin"]

_LIMIT = 1024


def read_pin(settings: Pkcs11Settings) -> SecretBytes | None:
    """Return the PIN, UTF-8, without one line break at its end; ``None`` if the settings name none.

    Raises:
        ConfigurationError: its file or variable is missing or empty, or its file is not private.
    """
    if settings.pin_file is not None:
        return _required(_read_file(settings.pin_file), f"pin_file {settings.pin_file}")
    if settings.pin_variable is not None:
        value = os.environ.get(settings.pin_variable, "")
        return _required(SecretBytes(value.encode(errors="surrogateescape")), f"variable {settings.pin_variable}")
    return None


def _read_file(path: Path) -> SecretBytes:
    try:
        content = SecretBytes(read_private(path, limit=_LIMIT))
    except OSError as error:
        reason = error.strerror
    else:
        return SecretBytes(content.get_secret_value().removesuffix(b"\n").removesuffix(b"\r"))
    raise ConfigurationError(f"pin_file {path} cannot be read: {reason}")


def _required(pin: SecretBytes, where: str) -> SecretBytes:
    if not pin:
        raise ConfigurationError(f"{where} holds no PIN")
    return pin


class RefusedPins:
    """The PINs that tokens refused in this process, so that none is tried twice: each try brings the lock nearer.

    They are kept as a code under a key that lives and dies with the process.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._codes: set[bytes] = set()
        self._lock = threading.Lock()

    def add(self, token: str, pin: SecretBytes) -> None:
        """Note that a token refused a PIN."""
        with self._lock:
            self._codes.add(self._code(token, pin))

    def has(self, token: str, pin: SecretBytes) -> bool:
        """Return whether the token refused this PIN before."""
        with self._lock:
            return self._code(token, pin) in self._codes

    def _code(self, token: str, pin: SecretBytes) -> bytes:
        return hmac.digest(self._key, token.encode() + b"\0" + pin.get_secret_value(), hashlib.sha256)
