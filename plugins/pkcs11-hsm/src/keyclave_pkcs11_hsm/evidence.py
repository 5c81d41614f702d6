"""How well the token keeps keys: what it, its slot and its mechanisms say, and what is known of its maker.

A flag is a claim, and software can set any. So modules that are software are known by name, and the absence of the
hardware flag is believed of everybody else.
"""

from __future__ import annotations

from typing import NamedTuple

from keyclave.models import EnvironmentType, SecurityLevel
from keyclave.plugin import BackendContext
from pkcs11 import Object, Token
from pkcs11.constants import Attribute, SlotFlag
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.tokens import serial_of

__all__ = ["Evidence", "key_evidence", "token_evidence"]

# Parts of the names of token, slot and module, in lower case. A TPM behind PKCS#11 is no HSM, and may be a simulator.
_SOFTWARE = (
    "softhsm",
    "mozilla foundation",
    "nss 3",
    "soft token",
    "softtok",
    "kryoptic",
    "tpm2-software",
    "simulator",
)


class Evidence(NamedTuple):
    """A level and what it rests on.

    Attributes:
        level: what the token can show.
        sentences: the evidence.
        simulator: whether it is software that stands for hardware.
    """

    level: SecurityLevel
    sentences: tuple[str, ...]
    simulator: bool


def token_evidence(token: Token, library: str, *, in_hardware: bool, context: BackendContext) -> Evidence:
    """Return the level of a token.

    Args:
        token: the token.
        library: manufacturer and description of the module.
        in_hardware: whether its mechanisms for signing say that hardware does them.
        context: whether a simulator may stand for the real thing.
    """
    hardware_slot = SlotFlag.HW_SLOT in token.slot.flags
    sentences: tuple[str, ...] = (
        f"The token is {token.model!r} by {token.manufacturer_id!r}, serial number {serial_of(token)}.",
        f"Its slot is {token.slot.slot_description!r} by {token.slot.manufacturer_id!r}; the module is {library}.",
        f"The slot {'says' if hardware_slot else 'does not say'} that it is hardware (CKF_HW_SLOT).",
        f"Mechanisms for signing {'say' if in_hardware else 'do not say'} that hardware does them (CKF_HW).",
    )
    names = " ".join((token.model, token.manufacturer_id, token.slot.manufacturer_id, library)).lower()
    software = next((name for name in _SOFTWARE if name in names), None)
    if software is None:
        level = SecurityLevel.HSM if hardware_slot and in_hardware else SecurityLevel.SOFTWARE
        return Evidence(level, sentences, simulator=False)
    sentences += (f"{software!r} in these names is known to be software.",)
    if context.accept_simulator and context.environment_type is not EnvironmentType.PRODUCTION:
        sentences += ("It stands for the real thing because the settings accept a simulator.",)
        return Evidence(SecurityLevel.HSM, sentences, simulator=True)
    return Evidence(SecurityLevel.SOFTWARE, sentences, simulator=True)


def key_evidence(key: Object) -> tuple[str, ...]:
    """Return what the token says of a private or secret key."""
    local, sensitive, kept = (
        _flag(key, attribute)
        for attribute in (Attribute.LOCAL, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE)
    )
    made = f"The token {'says' if local else 'does not say'} that it made the key (CKA_LOCAL)."
    if sensitive and kept:
        return made, "It says that the key never left it (CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE)."
    return made, "It does not say that the key never left it: a copy may exist elsewhere."


def _flag(key: Object, attribute: Attribute) -> bool:
    try:
        return bool(key[attribute])
    except PKCS11Error:
        return False
