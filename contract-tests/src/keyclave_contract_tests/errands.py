"""What checks have other processes do. A child imports these functions by name, and sends back what they return."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import KeyStateError
from keyclave.plugin import CreatedKey, KeyLabel, KeyReference

from keyclave_contract_tests.subject import Subject

__all__ = ["create", "create_and_destroy", "destroy", "disable"]


def create(subject: Subject, label: KeyLabel, algorithm: str) -> CreatedKey:
    """Create a key."""
    return subject.create_key(label, algorithm)


def disable(subject: Subject, key: KeyReference) -> None:
    """Disable a key."""
    subject.disable_key(key)


def destroy(subject: Subject, key: KeyReference) -> None:
    """Destroy a key."""
    subject.destroy_key(key)


def create_and_destroy(subject: Subject, label: KeyLabel, algorithm: str) -> None:
    """Create a key and destroy it, over and over, until this process is killed."""
    while True:
        with suppress(KeyStateError):  # where the label of a destroyed key is not used again
            subject.destroy_key(subject.create_key(label, algorithm).reference)
