"""A token that this process is logged in to."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import AuthenticationFailed, ConfigurationError
from keyclave.plugin import Record
from pkcs11 import Session, Token
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error
from pydantic import SecretBytes

from keyclave_pkcs11_hsm.errors import ckr_name, from_code, translate
from keyclave_pkcs11_hsm.functions import CKR_OK
from keyclave_pkcs11_hsm.modules import Module
from keyclave_pkcs11_hsm.pins import RefusedPins
from keyclave_pkcs11_hsm.tokens import find_token, serial_of

__all__ = ["Connection", "Target", "connect"]

_CKR_PIN_LOCKED = 0xA4
_CKR_USER_ALREADY_LOGGED_IN = 0x100
_REFUSED = {
    0xA0: "incorrect",
    0xA1: "invalid",
    0xA2: "too short or too long",
    0xA3: "expired",
    _CKR_PIN_LOCKED: "locked",
}
_refused_pins = RefusedPins()


class Target(Record, frozen=True, kw_only=True):
    """What to connect to.

    Attributes:
        module: the module that has the token.
        label: its label.
        serial: its serial number; ``None`` where the label is enough.
        pin: the user PIN; ``None`` where the settings name none.
        read_only: whether sessions are to be read-only.
    """

    module: Module
    label: str
    serial: str | None
    pin: SecretBytes | None
    read_only: bool


class Connection:
    """One login. It lasts as long as the session ``anchor`` is open, or the token is there.

    Nobody logs out: that would log out every other backend of this process that uses the token.

    Attributes:
        token: the token.
        anchor: a session that is not used for keys; what is made in it lasts as long as the connection.

    Raises:
        AuthenticationFailed: the token refused the PIN now or before, or would lock after one more wrong try.
        BackendUnavailable, ConfigurationError: see `find_token`; or the token wants a PIN, and there is none.
        PKCS11Error: the token refuses something else.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.token: Token = find_token(target.module, target.label, target.serial)
        self.anchor = self.open_session()
        try:
            self._login()
        except BaseException:
            self.close()
            raise

    def open_session(self) -> Session:
        """Open one more session."""
        return self.token.open(rw=not self._target.read_only)

    def close(self) -> None:
        """Close the anchor session."""
        with suppress(PKCS11Error):
            self.anchor.close()

    def _login(self) -> None:
        if TokenFlag.LOGIN_REQUIRED not in self.token.flags:
            return
        pin = self._target.pin
        if pin is None:
            raise ConfigurationError(
                f"token {self.token.label!r} wants a PIN", next_step="Set pin_file or pin_variable."
            )
        identity = f"{self._target.module.path} {self.token.label} {serial_of(self.token)}"
        self._require_a_try(identity, pin)
        token = self.token
        result = self._target.module.functions.login(token.slot.slot_id, token.label, token.serial, pin)
        if result in _REFUSED:
            _refused_pins.add(identity, pin)
            raise _refusal(_REFUSED[result], attempts_left=0 if result == _CKR_PIN_LOCKED else None)
        if result not in (CKR_OK, _CKR_USER_ALREADY_LOGGED_IN):
            raise translate(from_code(result))  # and no second try in the same call: it would be one of the PIN

    def _require_a_try(self, identity: str, pin: SecretBytes) -> None:
        """Refuse to try a PIN that was refused, or that could lock the token if it is wrong."""
        flags = self.token.flags
        if TokenFlag.USER_PIN_LOCKED in flags:
            raise _refusal("locked", attempts_left=0)
        if _refused_pins.has(identity, pin):
            raise _refusal("the one that it refused before; it was not tried again")
        if TokenFlag.USER_PIN_FINAL_TRY in flags:
            raise AuthenticationFailed(
                "one more wrong PIN would lock the token: it was not tried",
                attempts_left=1,
                next_step="Log in once with the tool of the token's maker, which resets the count of wrong tries.",
            )


def connect(target: Target) -> Connection:
    """Return a new connection; initialise the module again if somebody else in this process finalised it."""
    try:
        return Connection(target)
    except PKCS11Error as error:
        if ckr_name(error) != "CRYPTOKI_NOT_INITIALIZED":
            raise
    target.module.initialize_again()
    return Connection(target)


def _refusal(reason: str, attempts_left: int | None = None) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"the PIN is {reason}",
        attempts_left=attempts_left,
        next_step="Look up the PIN, and set a new one with the tool of the token's maker if it is locked or expired.",
    )
