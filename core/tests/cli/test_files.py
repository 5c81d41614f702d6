"""Files with odd names, contents and permissions, in every place where a command takes one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
posix = pytest.mark.skipif(os.name != "posix", reason="names and permissions are POSIX")
MESSAGE = b"What the file says.\n"
READING = {
    "sign": ("keys", "sign", "s", "{}", "-o", "out"),
    "verify": ("keys", "verify", "s", "{}", "sig"),
    "verify SIG": ("keys", "verify", "s", "file", "{}"),
    "encrypt": ("keys", "encrypt", "e", "{}", "-o", "out"),
    "encrypt AAD": ("keys", "encrypt", "e", "file", "-o", "out", "--aad-file", "{}"),
    "decrypt": ("keys", "decrypt", "e", "{}", "-o", "out"),
    "tour": ("tour", "{}"),
}


@pytest.fixture(autouse=True)
def keys(run: Run) -> None:
    run("keys", "create", "s", "--algorithm", "ED25519")
    run("keys", "create", "e", "--algorithm", "AES_256")
    Path("file").write_bytes(MESSAGE)
    run("keys", "sign", "s", "file", "-o", "sig")


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let the permissions of files hold: for root they do not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("command", READING)
def test_a_missing_file_and_a_directory_are_refused_before_anything_is_done(run: Run, command: str) -> None:
    Path("directory").mkdir()
    for name in ("missing", "directory", ""):
        said = run(*(argument.format(name) for argument in READING[command]), code=2)
        assert said.stdout == ""
        assert "cannot be read: " in said.stderr
    assert not Path("out").exists()


@posix
def test_a_result_for_which_there_is_no_space_is_named_and_not_left(run: Run) -> None:
    import resource  # noqa: PLC0415  there is none on Windows

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    Path("large").write_bytes(bytes(3_000_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        said = run("keys", "encrypt", "e", "large", "-o", "large.enc", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"Error: {Path('large.enc').resolve()}: File too large" in said.stderr
    assert not Path("large.enc").exists()


@posix
@pytest.mark.parametrize("command", READING)
def test_a_file_without_permission_is_refused_before_anything_is_done(run: Run, command: str) -> None:
    Path("secret").touch(mode=0)
    with without_privileges():
        said = run(*(argument.format("secret") for argument in READING[command]), code=2)
    assert "secret cannot be read: Permission denied" in said.stderr
    assert not Path("out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a file that opens and cannot be read")
@pytest.mark.parametrize("command", [name for name in READING if name != "tour"])
def test_a_file_that_fails_while_it_is_read_leaves_no_result(run: Run, command: str) -> None:
    said = run(*(argument.format("/proc/self/mem") for argument in READING[command]), code=1)
    assert said.stderr.startswith("Error: Input/output error")
    assert not Path("out").exists()


def test_an_empty_file_is_a_file(run: Run) -> None:
    Path("empty").touch()
    run("keys", "sign", "s", "empty", "-o", "empty.sig")
    run("keys", "verify", "s", "empty", "empty.sig")
    run("keys", "verify", "s", "file", "empty.sig", code=5)
    run("keys", "verify", "s", "file", "empty", code=5)
    run("keys", "encrypt", "e", "empty", "-o", "empty.enc", "--aad-file", "empty")
    run("keys", "decrypt", "e", "empty.enc", "-o", "back")
    assert Path("back").read_bytes() == b""
    assert Path("empty.enc").stat().st_size > 0


def test_standard_input_is_signed_into_a_file(run: Run) -> None:
    run("keys", "sign", "s", "-", "-o", "from-stdin", stdin=MESSAGE)
    run("keys", "verify", "s", "file", "from-stdin")
    assert Path("from-stdin").read_bytes() == Path("sig").read_bytes()


def test_a_signature_that_is_there_is_replaced(run: Run) -> None:
    Path("old").write_bytes(b"an old signature")
    run("keys", "sign", "s", "file", "-o", "old")
    assert Path("old").read_bytes() == Path("sig").read_bytes()


def test_a_signature_never_replaces_what_it_signs(run: Run) -> None:
    Path("link").symlink_to("file")
    os.link("file", "second-name")
    for output in ("file", "./file", "link", "second-name"):
        assert "would replace what it signs" in run("keys", "sign", "s", "file", "-o", output, code=2).stderr
    assert Path("file").read_bytes() == MESSAGE


@posix
def test_a_signature_is_as_public_as_the_user_wants_it(run: Run) -> None:
    umask = os.umask(0o027)
    try:
        run("keys", "sign", "s", "file", "-o", "new.sig")
    finally:
        os.umask(umask)
    assert Path("new.sig").stat().st_mode & 0o777 == 0o640


NAMES = ["größe 文.txt", "a b\tc", "-file", "é" * 127, "文" * 83, "\N{GRINNING FACE}" * 63, "n" * 255]


@posix
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("written", ["without a name", "beside"])
def test_a_file_may_have_any_name_that_the_system_takes(
    run: Run, name: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a result cannot be written without a name first."""
    if written == "beside":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    Path("file").rename(name)
    run("keys", "sign", "s", "-o", "signature", "--", name)
    Path(name).rename("plain")
    for command, source, target in (("encrypt", "plain", name), ("decrypt", name, "plain")):
        run("keys", command, "e", "-o", target, "--", source)
    Path("plain").rename(name)
    assert Path(name).read_bytes() == MESSAGE
    run("keys", "verify", "s", "--", name, "signature")


@posix
def test_a_name_that_is_too_long_is_wrong_usage(run: Run) -> None:
    for arguments in (("sign", "s", "n" * 256), ("sign", "s", "file", "-o", "n" * 256), ("encrypt", "e", "n" * 5000)):
        assert "File name too long" in run("keys", *arguments, code=2).stderr


def test_a_key_may_have_a_name_of_128_characters(run: Run) -> None:
    run("keys", "create", "n" * 128, "--algorithm", "ED25519")
    run("keys", "verify", "n" * 128, "file", "-", stdin=run("keys", "sign", "n" * 128, "file").stdout_bytes)
    for name in ("n" * 129, "schlüssel", "文", "n" * 10_000):
        assert "not a key name" in run("keys", "create", name, "--algorithm", "ED25519", code=2).stderr


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS takes UTF-8 only")
def test_a_name_never_reaches_the_terminal_as_a_command_to_it(run: Run) -> None:
    for name in ("red\x1b[31m\nError: x", os.fsdecode(b"\xff.txt")):
        Path(name).write_bytes(MESSAGE)
        said = run("keys", "sign", "s", "file", "-o", name).output
        said += run("keys", "verify", "s", "file", f"{name}.missing", code=2).output
        said += run("keys", "encrypt", "e", "file", "-o", f"{name}/out", code=2).output
        assert "x1b[31m" in said or "udcff" in said
        assert "\x1b" not in said
        assert "\nError: x" not in said
