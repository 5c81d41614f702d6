"""How long a plugin may take."""

from __future__ import annotations

from keyclave.plugin.records import Record

__all__ = ["TimeLimits"]


class TimeLimits(Record, frozen=True, kw_only=True):
    """Time limits in seconds. Each one is generous: it ends a call that hangs, not one that is slow.

    Attributes:
        probe: the trial import of a foreign plugin in a child process.
        opening: ``open_backend``, which may import an SDK and log in.
        create_key: making a key; RSA keys of 4096 bits take seconds.
        import_key: importing a key.
        other: every other hook.
    """

    probe: float = 20.0
    opening: float = 30.0
    create_key: float = 30.0
    import_key: float = 60.0
    other: float = 5.0

    def of(self, hook: str) -> float:
        """Return the limit of a hook of an opened backend."""
        if hook == "create_key":
            return self.create_key
        return self.import_key if hook == "import_key" else self.other
