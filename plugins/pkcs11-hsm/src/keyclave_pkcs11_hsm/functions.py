"""The functions of a module that python-pkcs11 calls in a way that does not do, through ctypes.

It calls ``C_Initialize(NULL)``, after which a module may leave out all locks, and SoftHSM does: two threads crash it.
And ``Session.close`` after ``Token.open(user_pin=...)`` logs the whole process out, and a refused PIN leaves a
session behind.

Nothing here takes a session from python-pkcs11: p11-kit's proxy gives each caller of C_GetFunctionList a list of its
own, which knows the sessions that were opened through it and no others.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from keyclave.errors import ConfigurationError
from pydantic import SecretBytes

__all__ = ["CKR_ALREADY_INITIALIZED", "CKR_OK", "Functions", "Structure"]

CKR_OK = 0x0
_CKR_SLOT_ID_INVALID = 0x3
CKR_ALREADY_INITIALIZED = 0x191

_CKF_OS_LOCKING_OK = 0x2
_CKF_SERIAL_SESSION = 0x4
_CKU_USER = 1
# CK_TOKEN_INFO begins with label, manufacturer, model and serial number; it has 204 bytes and its padding.
_TOKEN_INFO_BYTES = 256
_LABEL, _SERIAL = slice(32), slice(80, 96)
# The start of CK_FUNCTION_LIST, the same in PKCS#11 2.01 to 3.2.
_NAMES = (
    *("C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo"),
    *("C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN"),
    *("C_OpenSession", "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState"),
    *("C_SetOperationState", "C_Login"),
)
_Initialize = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
_GetTokenInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)
_OpenSession = ctypes.CFUNCTYPE(*(ctypes.c_ulong,) * 3, *(ctypes.c_void_p,) * 3)
_CloseSession = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong)
_Login = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong)


class Structure(ctypes.Structure):
    """A structure that is laid out as modules expect it."""

    _pack_ = 1 if os.name == "nt" else 0  # "Cryptoki structures are packed ... on Windows" (section 2.1)


class _FunctionList(Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), *((name, ctypes.c_void_p) for name in _NAMES))


class _InitializeArguments(Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("create", "destroy", "lock", "unlock")),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_char_p),
        ("reserved_by_nss", ctypes.c_void_p),  # softokn has one field more than the standard, and it must be NULL
    )


class Functions:
    """A loaded module. It is never unloaded: a module may have started threads.

    Raises:
        ConfigurationError: it cannot be loaded, or is no PKCS#11 module.
    """

    def __init__(self, path: Path) -> None:
        pointer = ctypes.POINTER(_FunctionList)()
        problem: str | None
        try:
            self._library = ctypes.CDLL(str(path))
            found = self._library.C_GetFunctionList(ctypes.byref(pointer))
        except (OSError, AttributeError) as error:
            problem = "it has no C_GetFunctionList" if isinstance(error, AttributeError) else "the system refuses it"
        else:
            problem = None if found == CKR_OK and pointer else f"C_GetFunctionList returned {found:#x}"
        if problem is not None:
            raise ConfigurationError(f"module {path} cannot be loaded: {problem}")
        self._list: _FunctionList = pointer.contents

    def initialize(self, parameters: str | None) -> int:
        """Call C_Initialize so that the module locks by the system's means, and return its CKR."""
        reserved = None if parameters is None else parameters.encode()
        arguments = _InitializeArguments(flags=_CKF_OS_LOCKING_OK, reserved=reserved)
        return int(_Initialize(self._list.C_Initialize)(ctypes.addressof(arguments)))

    def finalize(self) -> int:
        """Call C_Finalize, and return its CKR."""
        return int(_Initialize(self._list.C_Finalize)(None))

    def login(self, slot: int, label: str, serial: bytes, pin: SecretBytes) -> int:
        """Log the user in with a PIN, and return the CKR.

        The session that this takes is closed again: a login lasts as long as the process has another one open.

        Args:
            slot: the slot of the token.
            label: its label, and
            serial: its serial number; a PIN is for one token alone, so no other one in this slot gets it.
            pin: the PIN.
        """
        info = ctypes.create_string_buffer(_TOKEN_INFO_BYTES)
        result = int(_GetTokenInfo(self._list.C_GetTokenInfo)(slot, ctypes.addressof(info)))
        if result != CKR_OK:
            return result
        found = info.raw[_LABEL].rstrip(b"\0").decode(errors="replace").rstrip(), info.raw[_SERIAL].rstrip()
        if found != (label, serial):
            return _CKR_SLOT_ID_INVALID
        return self._login(slot, pin)

    def _login(self, slot: int, pin: SecretBytes) -> int:
        session = ctypes.c_ulong()
        opened = _OpenSession(self._list.C_OpenSession)(
            slot, _CKF_SERIAL_SESSION, None, None, ctypes.addressof(session)
        )
        if opened != CKR_OK:
            return int(opened)
        secret = pin.get_secret_value()
        try:
            return int(_Login(self._list.C_Login)(session.value, _CKU_USER, secret, len(secret)))
        finally:
            _CloseSession(self._list.C_CloseSession)(session.value)
