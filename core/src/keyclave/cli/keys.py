"""``keyclave keys``: the group."""

from __future__ import annotations

from keyclave.cli.adoption import adopt, adoptable
from keyclave.cli.command import group
from keyclave.cli.encryption import decrypt, encrypt
from keyclave.cli.key_life import cancel_destruction, create, destroy, revoke, rotate
from keyclave.cli.key_view import list_keys, public_key, show
from keyclave.cli.signing import sign, verify

__all__ = ["keys"]

keys = group(
    "keys",
    "Create, use and end keys.",
    *(create, adopt, adoptable, list_keys, show, public_key),
    *(sign, verify, encrypt, decrypt, rotate, revoke, destroy, cancel_destruction),
)
