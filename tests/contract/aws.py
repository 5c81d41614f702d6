"""What the contract is run against for AWS KMS: an emulator, and the KMS of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.services import ministack
from tests.services.tokens import write_private

__all__ = ["emulator", "own_kms", "settings"]


def settings(scratch: Path) -> Mapping[str, str]:
    """Return the settings for both, but for their endpoint; neither looks at the secret."""
    return {
        "region": "us-east-1",
        "credentials": "static",
        "access_key_id": "AKIDTEST",
        "secret_access_key_file": str(write_private(scratch / "secret", "no-secret-of-anybody")),
        "accept_simulator": "true",
    }


@contextmanager
def emulator() -> Iterator[Mapping[str, str]]:
    """Run MiniStack, and yield its endpoint as a setting."""
    with ministack.running() as server:
        yield {"endpoint": server.endpoint}


@contextmanager
def own_kms() -> Iterator[Mapping[str, str]]:
    """Run the KMS of the tests, and yield its endpoint as a setting."""
    from tests.services.kms import server  # noqa: PLC0415  the SDK

    with server.running() as own:
        yield {"endpoint": own.endpoint}
