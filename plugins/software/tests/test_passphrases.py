"""What a passphrase may be, and what may hold it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from keyclave.errors import AuthenticationFailed, ConfigurationError

from plugins.software.tests.conftest import PASSPHRASE, Open, Write


@pytest.mark.parametrize("content", [b"", b"\n", b"short!!", b"short!!\r\n"])
def test_a_short_passphrase_is_refused(open_backend: Open, write: Write, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="shorter than 8 bytes"):
        open_backend(passphrase_file=write("passphrase", content))


@pytest.mark.parametrize("line_break", [b"", b"\n", b"\r\n"])
def test_the_longest_passphrase_may_end_with_a_line_break(
    open_backend: Open, write: Write, line_break: bytes
) -> None:
    open_backend(passphrase_file=write("passphrase", b"x" * 1024 + line_break))
    with pytest.raises(ConfigurationError, match=r"longer than 102[46]"):
        open_backend(passphrase_file=write("longer", b"x" * 1025 + line_break))
    with pytest.raises(ConfigurationError, match="is longer than"):
        open_backend(passphrase_file=write("much longer", b"x" * (1 << 20) + line_break))


@pytest.mark.parametrize(
    "content", [PASSPHRASE + b"\0", b"\xef\xbb\xbf" + PASSPHRASE, PASSPHRASE.decode().encode("utf-16")]
)
def test_a_passphrase_is_its_bytes_whatever_their_encoding(
    open_backend: Open, passphrase_file: Path, write: Write, content: bytes
) -> None:
    open_backend(passphrase_file=passphrase_file)
    with pytest.raises(AuthenticationFailed):
        open_backend(passphrase_file=write("other", content))


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices are POSIX")
@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "directory", "device"])
def test_a_passphrase_is_read_from_a_file_only(
    open_backend: Open, passphrase_file: Path, tmp_path: Path, kind: str
) -> None:
    named = tmp_path / "named"
    if kind == "link":
        named.symlink_to(passphrase_file)
    elif kind == "second name":
        named.hardlink_to(passphrase_file)
    elif kind == "pipe":
        os.mkfifo(named, 0o600)
    elif kind == "directory":
        named.mkdir(0o700)
    else:
        named = Path("/dev/zero")
    with pytest.raises(ConfigurationError, match=r"symbolic link|hard link|not a regular file"):
        open_backend(passphrase_file=named)
