"""Whether the code that an import would find is the code that the plugin's distribution installed.

A module of the same name in an earlier directory of ``sys.path`` would be imported in its place.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["foreign_origin"]


def foreign_origin(entry_point: EntryPoint) -> str | None:
    """Return why the entry point's module does not come from its distribution, or ``None`` if it does.

    Each package on the way to the module is checked; none is imported.
    """
    distribution = entry_point.dist
    if distribution is None:
        return "its distribution is unknown"
    search: Sequence[str] | None = None
    name = ""
    for part in entry_point.module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find(name, search)
        if spec is None:
            return f"its module {name} is not installed"
        if spec.has_location and not _installed_by(distribution, Path(spec.origin or "")):
            return f"its module {name} is found in a file that the distribution did not install"
        search = spec.submodule_search_locations
    return None


def _find(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    """Ask the import system for a module, which `importlib.util.find_spec` cannot do without importing packages."""
    for finder in sys.meta_path:
        found = finder.find_spec(name, search)
        if found is not None:
            return found
    return None


def _installed_by(distribution: Distribution, file: Path) -> bool:
    file = file.resolve()
    if (root := _editable_root(distribution)) is not None:
        return file.is_relative_to(root)
    if distribution.files is None:  # no list of files: at least the same directory
        return file.is_relative_to(Path(str(distribution.locate_file(""))).resolve())
    return any(Path(str(distribution.locate_file(f))).resolve() == file for f in distribution.files)


def _editable_root(distribution: Distribution) -> Path | None:
    """Return the source directory of an editable installation (PEP 610), or ``None`` for any other."""
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable, url = direct["dir_info"]["editable"], direct["url"]
    except (ValueError, KeyError, TypeError):
        return None
    return Path(url2pathname(urlsplit(url).path)).resolve() if editable is True else None
