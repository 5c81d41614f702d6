"""Open a token: module, PIN, connection, and a look at what it can do."""

from __future__ import annotations

from functools import partial

from keyclave.errors import KeyclaveError
from keyclave.plugin import BackendContext
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from keyclave_pkcs11_hsm.connection import Target, connect
from keyclave_pkcs11_hsm.description import look_at
from keyclave_pkcs11_hsm.errors import translate
from keyclave_pkcs11_hsm.module_file import checked_module
from keyclave_pkcs11_hsm.modules import acquire, release
from keyclave_pkcs11_hsm.pins import read_pin
from keyclave_pkcs11_hsm.sessions import SessionPool
from keyclave_pkcs11_hsm.settings import Pkcs11Settings

__all__ = ["open_pkcs11_backend"]


def open_pkcs11_backend(settings: Pkcs11Settings, context: BackendContext) -> Pkcs11Backend:
    """Return the opened backend; `keyclave_pkcs11_hsm.plugin.open_backend` says what is raised."""
    path = checked_module(settings.module, settings.allowed_modules)
    pin = read_pin(settings)
    try:
        module = acquire(path, settings.module_parameters)
    except PKCS11Error as error:
        failure: KeyclaveError = translate(error)
    else:
        target = Target(
            module=module, label=settings.token, serial=settings.serial, pin=pin, read_only=settings.read_only
        )
        return _open(target, settings.sessions, context)
    raise failure


def _open(target: Target, sessions: int, context: BackendContext) -> Pkcs11Backend:
    pool = SessionPool(partial(connect, target), sessions)
    try:
        abilities = pool.run(partial(look_at, read_only=target.read_only))
        return Pkcs11Backend(target, pool, abilities, context)
    except BaseException:
        release(target.module, idle=pool.close())
        raise
