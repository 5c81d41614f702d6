"""What a token answers (CKR, PKCS#11 2.40, section 11.1) as an error of Keyclave, in one place.

The text of python-pkcs11's exceptions is not passed on; the name of the CKR is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    Conflict,
    DecryptionFailed,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
)
from pkcs11.exceptions import PKCS11Error

__all__ = ["ckr_name", "from_code", "is_lost", "is_refused", "is_stale", "translate"]


class _Answer(NamedTuple):
    kind: type[KeyclaveError]
    message: str
    retryable: bool | None = None
    next_step: str | None = None


_CHECK_IT = "Check that the token is there and running; `keyclave health` shows when it is back."
_CHANGE_PIN = "Look up the PIN, and set a new one with the tool of the token's maker if it is locked or expired."
_GONE = _Answer(BackendUnavailable, "the token is gone, or has forgotten its sessions", next_step=_CHECK_IT)
_STALE = _Answer(Conflict, "somebody else is changing the key")
_FAILED = _Answer(BackendUnavailable, "the token failed", next_step=_CHECK_IT)
_FULL = _Answer(BackendUnavailable, "the token or its module has no room left for this now")
_UNABLE = _Answer(CapabilityUnsupported, "the token cannot do this")
_WRONG_PIN = _Answer(
    AuthenticationFailed, "the token refused the PIN, which is not tried again", next_step=_CHANGE_PIN
)
_DENIED = _Answer(AccessDenied, "the token does not allow this to its user")
_KEPT = _Answer(CapabilityUnsupported, "the token does not release this key")
_MALFORMED = _Answer(InvalidArgument, "the wrapped key cannot be unwrapped")
_BAD_DATA = _Answer(InvalidArgument, "the token refuses the data")
_ROLE = _Answer(KeyDisabled, "the key is not allowed to do this", next_step="Use a key that was made for it.")
_UNEXPECTED = _Answer(BackendUnavailable, "the token answered what it never should", retryable=False)

_ANSWERS: dict[str, _Answer] = {
    **dict.fromkeys(
        ("SESSION_HANDLE_INVALID", "SESSION_CLOSED", "DEVICE_REMOVED", "DEVICE_ERROR", "TOKEN_NOT_PRESENT"), _GONE
    ),
    **dict.fromkeys(("TOKEN_NOT_RECOGNIZED", "SLOT_ID_INVALID", "USER_NOT_LOGGED_IN", "NO_SUCH_TOKEN"), _GONE),
    "CRYPTOKI_NOT_INITIALIZED": _GONE,
    **dict.fromkeys(("OBJECT_HANDLE_INVALID", "KEY_HANDLE_INVALID", "NO_SUCH_KEY"), _STALE),
    **dict.fromkeys(("UNWRAPPING_KEY_HANDLE_INVALID", "WRAPPING_KEY_HANDLE_INVALID"), _STALE),
    **dict.fromkeys(("GENERAL_ERROR", "FUNCTION_FAILED", "FUNCTION_CANCELED", "OPERATION_ACTIVE"), _FAILED),
    **dict.fromkeys(("OPERATION_NOT_INITIALIZED", "RANDOM_NO_RNG", "EXCEEDED_MAX_ITERATIONS"), _FAILED),
    **dict.fromkeys(("HOST_MEMORY", "DEVICE_MEMORY", "SESSION_COUNT", "TOKEN_RESOURCE_EXCEEDED"), _FULL),
    **dict.fromkeys(("MECHANISM_INVALID", "MECHANISM_PARAM_INVALID", "FUNCTION_NOT_SUPPORTED"), _UNABLE),
    **dict.fromkeys(("KEY_SIZE_RANGE", "KEY_TYPE_INCONSISTENT", "DOMAIN_PARAMS_INVALID", "ARGUMENTS_BAD"), _UNABLE),
    **dict.fromkeys(("TEMPLATE_INCOMPLETE", "TEMPLATE_INCONSISTENT", "ATTRIBUTE_TYPE_INVALID"), _UNABLE),
    **dict.fromkeys(("ATTRIBUTE_VALUE_INVALID", "CURVE_NOT_SUPPORTED", "PUBLIC_KEY_INVALID"), _UNABLE),
    **dict.fromkeys(("WRAPPING_KEY_SIZE_RANGE", "WRAPPING_KEY_TYPE_INCONSISTENT"), _UNABLE),
    **dict.fromkeys(("UNWRAPPING_KEY_SIZE_RANGE", "UNWRAPPING_KEY_TYPE_INCONSISTENT"), _UNABLE),
    **dict.fromkeys(("PIN_INCORRECT", "PIN_INVALID", "PIN_LEN_RANGE", "PIN_EXPIRED", "PIN_TOO_WEAK"), _WRONG_PIN),
    "PIN_LOCKED": _Answer(AuthenticationFailed, "the PIN of the token is locked", next_step=_CHANGE_PIN),
    "USER_PIN_NOT_INITIALIZED": _Answer(
        ConfigurationError, "the token has no user PIN yet", next_step="Set one with the tool of the token's maker."
    ),
    **dict.fromkeys(("USER_ANOTHER_ALREADY_LOGGED_IN", "USER_TOO_MANY_TYPES"), _DENIED),
    **dict.fromkeys(
        ("TOKEN_WRITE_PROTECTED", "SESSION_READ_ONLY", "FUNCTION_REJECTED", "ACTION_PROHIBITED"), _DENIED
    ),
    **dict.fromkeys(("ATTRIBUTE_READ_ONLY", "ATTRIBUTE_SENSITIVE"), _DENIED),
    **dict.fromkeys(("KEY_UNEXTRACTABLE", "KEY_NOT_WRAPPABLE"), _KEPT),
    **dict.fromkeys(("WRAPPED_KEY_INVALID", "WRAPPED_KEY_LEN_RANGE"), _MALFORMED),
    **dict.fromkeys(("DATA_INVALID", "DATA_LEN_RANGE"), _BAD_DATA),
    **dict.fromkeys(
        ("ENCRYPTED_DATA_INVALID", "ENCRYPTED_DATA_LEN_RANGE"),
        _Answer(DecryptionFailed, "ciphertext, key and associated data do not belong together"),
    ),
    "KEY_FUNCTION_NOT_PERMITTED": _ROLE,
    **dict.fromkeys(
        ("MULTIPLE_TOKENS_RETURNED", "MULTIPLE_OBJECTS_RETURNED"),
        _Answer(ConfigurationError, "the token holds more than one of what should be there once"),
    ),
}
_VAGUE = ("GENERAL_ERROR", "FUNCTION_FAILED")
_REFUSING = (_UNABLE, _DENIED, _KEPT, _ROLE, _BAD_DATA, _MALFORMED)
# Those that python-pkcs11 has no class for, by the code in the text of its exception, or by the text.
_CODES = {
    0x1B: "ACTION_PROHIBITED",
    0x68: "KEY_FUNCTION_NOT_PERMITTED",
    0x140: "CURVE_NOT_SUPPORTED",
    0x201: "TOKEN_RESOURCE_EXCEEDED",
}
# What C_Login may answer, which is not called through python-pkcs11.
_LOGIN_CODES = {
    0x02: "HOST_MEMORY",
    0x05: "GENERAL_ERROR",
    0x06: "FUNCTION_FAILED",
    0x30: "DEVICE_ERROR",
    0x31: "DEVICE_MEMORY",
    0x32: "DEVICE_REMOVED",
    0x50: "FUNCTION_CANCELED",
    0xB0: "SESSION_CLOSED",
    0xB3: "SESSION_HANDLE_INVALID",
    0x102: "USER_PIN_NOT_INITIALIZED",
    0x104: "USER_ANOTHER_ALREADY_LOGGED_IN",
    0x105: "USER_TOO_MANY_TYPES",
    0x190: "CRYPTOKI_NOT_INITIALIZED",
}
_TEXTS = {"not initialized": "CRYPTOKI_NOT_INITIALIZED", "already initialized": "CRYPTOKI_ALREADY_INITIALIZED"}
_TEXTS["Buffer was too small"] = "BUFFER_TOO_SMALL"
_SPELLING = {"TOKEN_NOT_RECOGNISED": "TOKEN_NOT_RECOGNIZED", "FUNCTION_CANCELLED": "FUNCTION_CANCELED"}
_SPELLING |= {"ANOTHER_USER_ALREADY_LOGGED_IN": "USER_ANOTHER_ALREADY_LOGGED_IN", "SLOT_IDINVALID": "SLOT_ID_INVALID"}
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CODE = re.compile(r"0x[0-9a-f]+")


def ckr_name(error: PKCS11Error) -> str:
    """Return the name of the CKR behind an exception, without its prefix; or its code, where it has no name here."""
    if type(error) is PKCS11Error:
        return _name_in(str(error))
    name = _WORD_START.sub("_", type(error).__name__).upper()
    return _SPELLING.get(name, name)


def from_code(ckr: int) -> PKCS11Error:
    """Return an exception as python-pkcs11 would raise it for a CKR of C_Login."""
    return PKCS11Error(f"{ckr:#x}")


def translate(error: PKCS11Error) -> KeyclaveError:
    """Return what to raise for an exception of python-pkcs11."""
    name = ckr_name(error)
    answer = _ANSWERS.get(name, _UNEXPECTED)
    return answer.kind(f"{answer.message} (CKR_{name})", retryable=answer.retryable, next_step=answer.next_step)


def is_lost(error: PKCS11Error) -> bool:
    """Return whether the connection to the token is gone, so that every handle is worth nothing."""
    return _ANSWERS.get(ckr_name(error)) is _GONE


def is_stale(error: PKCS11Error) -> bool:
    """Return whether an object is no longer where this session saw it, or may not be.

    SoftHSM says CKR_GENERAL_ERROR when another thread destroys an object in the midst of a call.
    """
    name = ckr_name(error)
    return _ANSWERS.get(name) is _STALE or name in _VAGUE


def is_refused(error: PKCS11Error) -> bool:
    """Return whether the token did nothing, and said so."""
    return _ANSWERS.get(ckr_name(error)) in _REFUSING


def _name_in(text: str) -> str:
    for part, name in _TEXTS.items():
        if part in text:
            return name
    code = _CODE.search(text)
    if code is None:
        return "UNKNOWN"
    number = int(code[0], 16)
    return _CODES.get(number) or _LOGIN_CODES.get(number) or code[0]
