"""A key is used in a backend of the level that it was created for, or not at all (FR-014)."""

from __future__ import annotations

from keyclave.backends.backend import Backend
from keyclave.errors import PolicyViolation
from keyclave.state.records import StoredKey

__all__ = ["require_level"]


def require_level(key: StoredKey, backend: Backend) -> None:
    """Refuse a backend that shows less than the key requires.

    Raises:
        PolicyViolation: it does; the error says what it shows.
    """
    level = backend.description.security_level
    if not level.satisfies(key.required_security_level):
        raise PolicyViolation(
            f"the key requires {key.required_security_level.value}, and its backend shows {level.value}",
            backend_id=backend.id,
            key_name=key.name,
            next_step=(
                "Find out why: `keyclave backends show ID` has the evidence. Restore the backend, and open it again,"
                " or create a new key elsewhere; no other backend takes an existing key."
            ),
        )
