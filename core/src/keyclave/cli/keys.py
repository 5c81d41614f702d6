"""``keyclave keys``: the group."""

from __future__ import annotations

from keyclave.cli.adoption import adopt, adoptable
from keyclave.cli.command import group
from keyclave.cli.encryption import decrypt, encrypt
from keyclave.cli.key_life import cancel_destruction, create, destroy, revoke
from keyclave.cli.key_view import list_keys, public_key, show
from keyclave.cli.rotation import confirm_clock, promote, rollback, rotate, rotate_due
from keyclave.cli.signing import sign, verify
from keyclave.cli.standby import standby

__all__ = ["keys"]

keys = group(
    "keys",
    "Create, use and end keys.",
    *(create, adopt, adoptable, list_keys, show, public_key),
    *(sign, verify, encrypt, decrypt, rotate, promote, rollback, rotate_due, standby),
    *(revoke, destroy, cancel_destruction, confirm_clock),
)
