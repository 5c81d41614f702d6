"""Which plugins the settings let load."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keyclave.plugin.records import Record

__all__ = ["PluginPolicy"]


class PluginPolicy(Record, frozen=True, kw_only=True):
    """What the settings say about plugins.

    Attributes:
        allow: the names that may load; ``None`` allows every installed plugin.
        block: the names that must not load, whatever ``allow`` says.
        pins: for a name, the distribution that must provide it. A pin cannot give away a first-party name.
    """

    allow: frozenset[str] | None = None
    block: frozenset[str] = frozenset()
    pins: Mapping[str, str] = MappingProxyType({})

    def allows(self, name: str) -> bool:
        """Return whether a plugin of this name may load.

        >>> PluginPolicy(allow=frozenset({"software"})).allows("acme")
        False
        """
        return name not in self.block and (self.allow is None or name in self.allow)
