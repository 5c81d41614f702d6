"""The functions of a module that python-pkcs11 calls in a way that does not do, through ctypes.

It calls ``C_Initialize(NULL)``, after which a module may leave out all locks, and SoftHSM does: two threads crash it.
And ``Session.close`` after ``Token.open(user_pin=...)`` logs the whole process out, and a refused PIN leaves a
session behind.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from keyclave.errors import ConfigurationError
from pydantic import SecretBytes

__all__ = ["CKR_ALREADY_INITIALIZED", "CKR_OK", "Functions"]

CKR_OK = 0x0
CKR_ALREADY_INITIALIZED = 0x191

_CKF_OS_LOCKING_OK = 0x2
_CKU_USER = 1
# The start of CK_FUNCTION_LIST, the same in PKCS#11 2.01 to 3.2.
_NAMES = (
    *("C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo"),
    *("C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN"),
    *("C_OpenSession", "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState"),
    *("C_SetOperationState", "C_Login"),
)
_Initialize = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
_Login = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong)


class _Structure(ctypes.Structure):
    _pack_ = 1 if os.name == "nt" else 0  # "Cryptoki structures are packed ... on Windows" (section 2.1)


class _FunctionList(_Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), *((name, ctypes.c_void_p) for name in _NAMES))


class _InitializeArguments(_Structure):
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

    def login(self, session: int, pin: SecretBytes) -> int:
        """Call C_Login for the user with a PIN, and return its CKR."""
        return int(_Login(self._list.C_Login)(session, _CKU_USER, pin.get_secret_value(), len(pin)))
