"""What ``keyclave doctor`` finds of keys: whether they are where they should be, and nothing else is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keyclave.cli.finding import Finding
from keyclave.cli.output import counted
from keyclave.errors import KeyclaveError

if TYPE_CHECKING:
    from keyclave import Keyclave, KeyHandle

__all__ = ["key_findings"]


def key_findings(clave: Keyclave) -> Iterator[Finding]:
    """Yield what is found."""
    homes: Counter[str] = Counter()
    newest: dict[str, KeyHandle] = {}
    for handle in (handle for page in clave.keys.pages() for handle in page if handle.status != "REVOKED"):
        homes[handle.backend_id] += 1
        newest[handle.backend_id] = max(handle, newest.get(handle.backend_id, handle), key=lambda h: h.created_at)
    configured = clave.settings.effective_backends
    missing = {backend_id: count for backend_id, count in sorted(homes.items()) if backend_id not in configured}
    if not missing:
        yield Finding("keys", "ok", f"{counted(homes.total(), 'key')} in use, in backends that are configured")
    for backend_id, count in missing.items():
        yield Finding(
            "keys",
            "problem",
            f"{counted(count, 'key')} in use in backend {backend_id!r}, which is not configured",
            f"Configure [backends.{backend_id}] as it was when they were created.",
        )
    for backend_id in sorted(newest.keys() - missing.keys()):
        yield from _sample(clave, backend_id, newest[backend_id].name)
    for backend_id in configured:
        yield from _unknown(clave, backend_id)


def _sample(clave: Keyclave, backend_id: str, name: str) -> Iterator[Finding]:
    """Look for one key where it should be. What keeps the backend from answering is found elsewhere."""
    try:
        found = clave.backends.has_key(name)
    except KeyclaveError:
        return
    if not found:
        yield Finding(
            "keys",
            "problem",
            f"backend {backend_id!r} does not have key {name!r}, the newest that should be in it",
            f"Let [backends.{backend_id}] name the region, account, token or directory in which its keys were made.",
        )


def _unknown(clave: Keyclave, backend_id: str) -> Iterator[Finding]:
    """Look for keys that the state does not know, in a backend that lists its keys."""
    try:
        unknown = clave.backends.unknown_keys(backend_id)
    except KeyclaveError:
        return
    if unknown:
        yield Finding(
            "keys",
            "problem",
            f"{counted(len(unknown), 'key')} in backend {backend_id!r} that the state does not know, such as"
            f" {unknown[0].uri}",
            "If the state was put back to an earlier copy, look for a later one: they were made since. Else they are"
            " left of changes that were given up: remove them with the tools of the backend.",
        )
