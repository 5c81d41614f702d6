"""Load one entry point with stevedore: the only file that imports it.

What stevedore does otherwise is kept out: it imports whatever a cache file in the user's home directory names, it
lets ``AssertionError`` and ``SystemExit`` escape, and of two plugins with one name it takes the last.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint

from stevedore.extension import ExtensionManager
from stevedore.named import NamedExtensionManager

from keyclave.backends.failures import describe
from keyclave.errors import PluginLoadError

__all__ = ["load"]


def load(entry_point: EntryPoint) -> object:
    """Import what the entry point names, and return it.

    Raises:
        PluginLoadError: the import failed; its message names the exception's type and place only.
    """
    failures: list[BaseException] = []
    loaded: list[object] = []
    try:
        loaded = [extension.plugin for extension in _OneEntryPoint(entry_point, failures)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and anything else that an import raises
        failures.append(error)
    if failures:
        raise PluginLoadError(f"its import raised {describe(failures[0])}")
    if len(loaded) != 1 or loaded[0] is None:
        raise PluginLoadError("its entry point names nothing")
    return loaded[0]


class _OneEntryPoint(NamedExtensionManager[object]):
    """A manager that knows exactly the entry point that it is given, from neither disk nor memory cache."""

    def __init__(self, entry_point: EntryPoint, failures: list[BaseException]) -> None:
        self._entry_point = entry_point
        self._failures = failures
        super().__init__(
            entry_point.group,
            [entry_point.name],
            invoke_on_load=False,
            on_load_failure_callback=self._record,
            on_missing_entrypoints_callback=None,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the one entry point. The inherited method asks the caches."""
        return [self._entry_point]

    def _record(self, _: ExtensionManager[object], __: EntryPoint, error: BaseException) -> None:
        self._failures.append(error)
