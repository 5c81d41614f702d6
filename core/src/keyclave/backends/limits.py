"""How long a plugin may take."""

from __future__ import annotations

from msgspec import structs

from keyclave.plugin.records import Location, Record

__all__ = ["TimeLimits"]

_MAKING = frozenset({"create_key", "begin_import"})
_SURVEYS = frozenset({"find_key", "list_keys", "list_foreign_keys", "check_permissions"})
_REMOTE = {"create_key": 60.0, "survey": 60.0, "other": 20.0}
"""What a service on a network needs at least: connecting, waiting and a few repetitions, page after page."""


class TimeLimits(Record, frozen=True, kw_only=True):
    """Time limits in seconds. Each one is generous: it ends a call that hangs, not one that is slow.

    Attributes:
        probe: the trial import of a foreign plugin in a child process.
        opening: ``open_backend``, which may import an SDK and log in.
        create_key: making a key, also one to wrap another under; RSA keys of 4096 bits take seconds.
        import_key: importing a key.
        survey: the hooks that may have to look at everything that there is, one thing after the other.
        other: every other hook.
    """

    probe: float = 20.0
    opening: float = 30.0
    create_key: float = 30.0
    import_key: float = 60.0
    survey: float = 5.0
    other: float = 5.0

    def at(self, location: Location) -> TimeLimits:
        """Return the limits for a backend that computes there: none is shorter than that takes.

        >>> TimeLimits().at(Location.REMOTE).of("sign")
        20.0
        """
        if location is not Location.REMOTE:
            return self
        return structs.replace(self, **{name: max(getattr(self, name), least) for name, least in _REMOTE.items()})

    def of(self, hook: str) -> float:
        """Return the limit of a hook of an opened backend."""
        if hook in _MAKING:
            return self.create_key
        if hook in _SURVEYS:
            return self.survey
        return self.import_key if hook == "import_key" else self.other
