"""What everything that a run makes is called: ``ct-<run>-<n>``, and the label that spells the same in its UUIDs."""

from __future__ import annotations

import itertools
import secrets
from uuid import UUID

from keyclave.plugin import KeyLabel

__all__ = ["Labels", "instance_number", "name_of", "new_run", "next_version"]

_PREFIX = b"ct"


def new_run() -> str:
    """Return the id of a new run, eight hexadecimal digits."""
    return secrets.token_hex(4)


class Labels:
    """Hands out the labels of one run, each once. Safe to share between threads.

    Args:
        run: the id of the run.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._numbers = itertools.count(1)

    def instance(self, number: int = 0) -> UUID:
        """Return the Keyclave instance that keys of this run belong to; other numbers are other instances."""
        return self._uuid(number)

    def new(self, instance: int = 0) -> KeyLabel:
        """Return a label that no key has yet."""
        number = next(self._numbers)
        return KeyLabel(
            instance_id=self.instance(instance),
            key_id=self._uuid(number),
            version=1,
            operation_id=self._uuid(number),
        )

    def _uuid(self, number: int) -> UUID:
        return UUID(bytes=_PREFIX + bytes.fromhex(self.run) + number.to_bytes(10, "big"))


def next_version(label: KeyLabel) -> KeyLabel:
    """Return the label of the next version of the same key."""
    return KeyLabel(
        instance_id=label.instance_id,
        key_id=label.key_id,
        version=label.version + 1,
        operation_id=UUID(int=label.operation_id.int ^ (label.version << 64)),
    )


def instance_number(label: KeyLabel) -> int:
    """Return which of the instances of its run a label belongs to."""
    return int.from_bytes(label.instance_id.bytes[6:], "big")


def name_of(label: KeyLabel) -> str:
    """Return ``ct-<run>-<n>``, with the version where it is not the first.

    Examples:
        >>> name_of(Labels("0a1b2c3d").new())
        'ct-0a1b2c3d-1'
    """
    data = label.key_id.bytes
    version = "" if label.version == 1 else f"-v{label.version}"
    return f"ct-{data[2:6].hex()}-{int.from_bytes(data[6:], 'big')}{version}"
