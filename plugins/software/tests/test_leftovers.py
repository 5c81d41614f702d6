"""What a write left that was killed goes when the keystore is opened the next time, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from filelock import FileLock
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext
from keyclave_software import keystore, plugin

LEFTOVER = ".00112233445566778899aabbccddeeff.key.0011223344556677.tmp"
OTHERS = (".notes.tmp", "00112233445566778899aabbccddeeff.tmp", ".keystore.0011223344556677.tmp")


def opened(directory: Path) -> set[str]:
    context = BackendContext(
        backend_id="software",
        instance_id=UUID(int=1),
        environment_type=EnvironmentType.LOCAL,
        data_directory=directory,
    )
    plugin.open_backend(plugin.settings_model()(), context)
    return {path.name for path in directory.iterdir()}


def test_a_leftover_is_removed(tmp_path: Path) -> None:
    directory = tmp_path / "keystore"
    before = opened(directory)
    for name in (LEFTOVER, *OTHERS):
        (directory / name).write_bytes(b"half a key")
    assert opened(directory) - {"keystore.lock"} == (before | {*OTHERS}) - {"keystore.lock"}


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "keystore"
    opened(directory)
    (directory / LEFTOVER).write_bytes(b"half a key, and the other half is coming")
    keystore._LOCK_SECONDS, seconds = 0.1, keystore._LOCK_SECONDS
    try:
        with FileLock(directory / "keystore.lock"):
            assert LEFTOVER in opened(directory)
    finally:
        keystore._LOCK_SECONDS = seconds
    assert LEFTOVER not in opened(directory)
