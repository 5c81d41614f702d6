"""Private files: what is refused, what a write leaves behind, what a crash leaves behind."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from keyclave.errors import ConfigurationError
from keyclave.plugin import files
from keyclave.plugin.files import create_private, private_directory, read_private, remove_private, replace_private

from core.tests.plugin_files.limits import longest_file

needs_posix = pytest.mark.skipif(os.name != "posix", reason="file modes and owners are POSIX")
needs_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")

SWEEP = Path(__file__).with_name("kill_sweep.py")
NOBODY = 65534


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return private_directory(tmp_path / "private")


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_posix
def test_a_missing_directory_is_created_for_us_alone_with_its_parents(tmp_path: Path) -> None:
    created = private_directory(tmp_path / "a" / "b")
    assert created == tmp_path / "a" / "b"
    assert mode(created) == mode(created.parent) == 0o700


def test_an_existing_directory_is_accepted_again(directory: Path) -> None:
    assert private_directory(str(directory)) == directory


@needs_posix
@pytest.mark.parametrize("wrong", [0o750, 0o701, 0o777])
def test_a_directory_that_lets_others_in_is_refused(directory: Path, wrong: int) -> None:
    directory.chmod(wrong)
    with pytest.raises(ConfigurationError, match=rf"lets group or others in \(mode 0{wrong:o}\)"):
        private_directory(directory)


@needs_posix
def test_what_lets_others_in_is_named_in_full(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0o755)
    monkeypatch.chdir(directory.parent)
    with pytest.raises(ConfigurationError) as refused:
        private_directory(directory.name)
    assert refused.value.message.startswith(f"{directory} lets group or others in")


@needs_posix
def test_a_link_to_a_directory_is_refused(directory: Path) -> None:
    link = directory.with_name("link")
    link.symlink_to(directory)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        private_directory(link)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="no directory"):
        private_directory(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        private_directory(tmp_path / "file" / "below")


@needs_root
def test_what_belongs_to_another_user_is_refused(directory: Path) -> None:
    create_private(directory / "file", b"content")
    os.chown(directory / "file", NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        read_private(directory / "file", limit=100)
    os.chown(directory, NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        private_directory(directory)


def test_a_created_file_has_its_content_and_nothing_is_left_beside_it(directory: Path) -> None:
    create_private(directory / "file", b"content")
    assert read_private(directory / "file", limit=7) == b"content"
    assert names(directory) == ["file"]
    assert os.name != "posix" or mode(directory / "file") == 0o600


def test_a_file_is_created_once(directory: Path) -> None:
    create_private(directory / "file", b"first")
    with pytest.raises(FileExistsError):
        create_private(directory / "file", b"second")
    assert read_private(directory / "file", limit=7) == b"first"
    assert names(directory) == ["file"]


def test_a_missing_file_is_not_found(directory: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_private(directory / "file", limit=7)


def test_a_file_is_read_up_to_its_limit(directory: Path) -> None:
    create_private(directory / "file", b"content")
    with pytest.raises(ConfigurationError, match="longer than 6 bytes"):
        read_private(directory / "file", limit=6)


@needs_posix
@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o610])
def test_a_file_that_lets_others_in_is_refused(directory: Path, wrong: int) -> None:
    create_private(directory / "file", b"content")
    (directory / "file").chmod(wrong)
    with pytest.raises(ConfigurationError, match="lets group or others in"):
        read_private(directory / "file", limit=100)


@needs_posix
def test_a_link_to_a_file_is_refused(directory: Path) -> None:
    create_private(directory / "file", b"content")
    (directory / "link").symlink_to("file")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        read_private(directory / "link", limit=100)


@needs_posix
def test_a_file_with_a_second_name_is_refused(directory: Path) -> None:
    create_private(directory / "file", b"content")
    (directory / "other").hardlink_to(directory / "file")
    with pytest.raises(ConfigurationError, match="second name"):
        read_private(directory / "file", limit=100)
    assert names(directory) == ["file", "other"]


@needs_posix
def test_of_several_leftovers_only_the_second_name_is_removed_by_a_read(directory: Path) -> None:
    create_private(directory / "file", b"content")
    (directory / f".file.{'0' * 16}.tmp").write_bytes(b"of another write")
    (directory / f".file.{'1' * 16}.tmp").hardlink_to(directory / "file")
    (directory / f".file.{'2' * 16}.tmp").write_bytes(b"of a third write")
    assert read_private(directory / "file", limit=100) == b"content"
    assert names(directory) == [f".file.{'0' * 16}.tmp", f".file.{'2' * 16}.tmp", "file"]


def test_without_modes_and_flushed_directories_files_are_still_whole(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for Windows, which is not at hand where these tests were written; elsewhere it is the real thing."""
    monkeypatch.setattr(files, "_POSIX", False)
    target = private_directory(directory / "new" / "nested") / "file"
    create_private(target, b"one")
    with pytest.raises(FileExistsError):
        create_private(target, b"two")
    replace_private(target, b"three")
    target.chmod(0o644)
    assert read_private(target, limit=10) == b"three"
    assert names(target.parent) == ["file"]
    remove_private(target)
    assert names(target.parent) == []


@needs_posix
def test_a_named_pipe_is_refused_without_waiting_for_it(directory: Path) -> None:
    os.mkfifo(directory / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_private(directory / "pipe", limit=100)


@needs_posix
def test_a_directory_in_place_of_a_file_is_refused(directory: Path) -> None:
    private_directory(directory / "file")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_private(directory / "file", limit=100)


@needs_posix
def test_a_refused_file_is_closed(directory: Path) -> None:
    create_private(directory / "file", b"content")
    (directory / "file").chmod(0o644)
    before = os.dup(0)
    for wrong in (directory, directory / "file"):
        with pytest.raises(ConfigurationError):
            read_private(wrong, limit=100)
    after = os.dup(0)
    os.close(before)
    os.close(after)
    assert after == before + 1


def test_content_is_replaced(directory: Path) -> None:
    seen: list[bytes] = []
    replace_private(directory / "file", b"old")
    replace_private(directory / "file", b"new", check=seen.append)
    assert seen == [b"new"]
    assert read_private(directory / "file", limit=100) == b"new"
    assert names(directory) == ["file"]
    assert os.name != "posix" or mode(directory / "file") == 0o600


def test_content_that_the_check_refuses_leaves_the_old_one(directory: Path) -> None:
    replace_private(directory / "file", b"old")

    def refuse(content: bytes) -> None:
        assert (directory / "file").read_bytes() == b"old"
        raise LookupError(len(content))

    with pytest.raises(LookupError):
        replace_private(directory / "file", b"new!", check=refuse)
    assert read_private(directory / "file", limit=100) == b"old"
    assert names(directory) == ["file"]


def test_content_that_reads_back_differently_leaves_the_old_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_private(directory / "file", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: b"nwe")
        with pytest.raises(OSError, match="reads back differently"):
            replace_private(directory / "file", b"new")
    assert read_private(directory / "file", limit=100) == b"old"
    assert names(directory) == ["file"]


@needs_posix
def test_replacing_a_link_does_not_touch_what_it_points_to(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (directory / "file").symlink_to(tmp_path / "elsewhere")
    replace_private(directory / "file", b"ours")
    assert (tmp_path / "elsewhere").read_bytes() == b"theirs"
    assert read_private(directory / "file", limit=100) == b"ours"


@needs_posix
@pytest.mark.parametrize("write", [create_private, replace_private])
def test_a_full_disk_leaves_nothing_behind(directory: Path, write: object) -> None:
    assert callable(write)
    with longest_file(100), pytest.raises(OSError, match="File too large"):
        write(directory / "new", bytes(1000))
    assert names(directory) == []


@needs_posix
def test_a_full_disk_leaves_the_old_content(directory: Path) -> None:
    replace_private(directory / "file", b"old")
    with longest_file(100), pytest.raises(OSError, match="File too large"):
        replace_private(directory / "file", bytes(1000))
    assert read_private(directory / "file", limit=100) == b"old"
    assert names(directory) == ["file"]


def test_a_removed_file_is_gone_with_what_interrupted_writes_of_it_left(directory: Path) -> None:
    for name in ("file", "file.other"):
        create_private(directory / name, b"content")
        (directory / f".{name}.{'0123456789abcdef'}.tmp").write_bytes(b"copy")
    remove_private(directory / "file")
    remove_private(directory / "file")
    assert names(directory) == [".file.other.0123456789abcdef.tmp", "file.other"]


def test_removing_from_a_missing_directory_is_fine(directory: Path) -> None:
    remove_private(directory / "missing" / "file")
    assert names(directory) == []


@needs_posix
@pytest.mark.parametrize("operation", ["create", "replace", "remove", "make_directory"])
def test_kill_before_every_call_leaves_old_or_new(tmp_path: Path, operation: str) -> None:
    ran = subprocess.run(
        [sys.executable, SWEEP, operation, tmp_path / "sweep"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    kills, states = ran.stdout.split(maxsplit=1)
    assert int(kills) >= 3
    assert states.split() == ["new", "old"]


@needs_posix
@pytest.mark.parametrize(
    ("operation", "calls"),
    [
        (lambda path: create_private(path, b"new"), ["fsync file", "link", "fsync directory"]),
        (lambda path: replace_private(path, b"new"), ["fsync file", "replace", "fsync directory"]),
        (remove_private, ["unlink", "fsync directory"]),
    ],
)
def test_content_is_flushed_before_it_gets_its_name_and_the_directory_after(
    directory: Path, monkeypatch: pytest.MonkeyPatch, operation: Callable[[Path], None], calls: list[str]
) -> None:
    seen: list[str] = []

    def spy(name: str, describe: Callable[..., str | None]) -> None:
        original = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if (said := describe(arguments[0])) is not None:
                seen.append(said)
            return original(*arguments, **named)

        monkeypatch.setattr(os, name, call)

    spy("fsync", lambda fd: "fsync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")
    spy("link", lambda _: "link")
    spy("replace", lambda _: "replace")
    spy("unlink", lambda path: "unlink" if Path(path).name == "file" else None)
    operation(directory / "file")
    assert seen == calls


def test_one_of_many_threads_creates_a_file_and_all_find_it_complete(directory: Path) -> None:
    contents = [bytes([n]) * 10_000 for n in range(8)]

    def create(content: bytes) -> bytes:
        with contextlib.suppress(FileExistsError):
            create_private(directory / "file", content)
        return read_private(directory / "file", limit=10_000)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(create, contents))
    assert len(set(found)) == 1
    assert found[0] in contents
    assert names(directory) == ["file"]
