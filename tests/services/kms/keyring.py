"""The keys and aliases of one account in one region."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import PREFIX, Key

__all__ = ["Keyring"]


class Keyring:
    """Keys by their ids, in the order in which they were made, and aliases."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.aliases: dict[str, str] = {}
        self._made = 0

    def add(self, **attributes: Any) -> Key:
        """Make a key."""
        self._made += 1
        key = Key(serial=self._made, **attributes)
        self.keys[key.id] = key
        return key

    def find(self, name: str) -> Key:
        """Return the key with an id or ARN, or that an alias or its ARN leads to.

        Raises:
            KmsFailure: there is none.
        """
        alias = name.removeprefix(PREFIX)
        return self.named(self.aliases.get(alias, alias) if alias.startswith("alias/") else name)

    def named(self, name: str) -> Key:
        """Return the key with an id or ARN; most operations that change a key take no alias.

        Raises:
            KmsFailure: there is none.
        """
        key = self.keys.get(name.removeprefix(f"{PREFIX}key/"))
        if key is None:
            raise KmsFailure("NotFoundException", f"Key '{name}' does not exist")
        return key

    def aliases_of(self, key: Key) -> list[str]:
        """Return the names of the aliases of a key."""
        return [alias for alias, target in self.aliases.items() if target == key.id]

    def delete_due(self, now: datetime) -> None:
        """Delete the keys whose waiting period is over, with their aliases."""
        for key in [key for key in self.keys.values() if key.deletion is not None and key.deletion <= now]:
            for alias in self.aliases_of(key):
                del self.aliases[alias]
            del self.keys[key.id]
