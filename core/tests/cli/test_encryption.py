"""``keyclave keys encrypt`` and ``decrypt``: whole files or none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def plain(run: Run) -> Path:
    run("keys", "create", "a", "--algorithm", "AES_256")
    path = Path("plain")
    path.write_bytes(CONTENT)
    return path


def names() -> set[str]:
    return set(os.listdir())  # noqa: PTH208  hidden names too


def test_what_is_encrypted_is_decrypted(run: Run, plain: Path) -> None:
    assert "Encrypted with 'a'" in run("keys", "encrypt", "a", "plain", "-o", "cipher", "--aad", "x").stdout
    assert CONTENT[:64] not in Path("cipher").read_bytes()
    assert json.loads(run("keys", "decrypt", "a", "cipher", "-o", "back", "--aad", "x", "--json").stdout) == {
        "name": "a",
        "output": "back",
    }
    assert Path("back").read_bytes() == CONTENT
    assert names() == {"plain", "cipher", "back"}


def test_it_goes_through_pipes(run: Run, plain: Path) -> None:
    cipher = run("keys", "encrypt", "a", "-", stdin=CONTENT).stdout_bytes
    assert run("keys", "decrypt", "a", "-", "-o", "-", stdin=cipher).stdout_bytes == CONTENT


def test_a_file_may_be_replaced_by_its_own_ciphertext(run: Run, plain: Path) -> None:
    run("keys", "encrypt", "a", "plain", "-o", "plain")
    assert plain.read_bytes() != CONTENT
    run("keys", "decrypt", "a", "plain", "-o", "plain")
    assert plain.read_bytes() == CONTENT


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_results_are_private(run: Run, plain: Path) -> None:
    umask = os.umask(0)
    try:
        run("keys", "encrypt", "a", "plain", "-o", "cipher")
        run("keys", "decrypt", "a", "cipher", "-o", "back")
    finally:
        os.umask(umask)
    assert Path("cipher").stat().st_mode & 0o777 == 0o600
    assert Path("back").stat().st_mode & 0o777 == 0o600


def test_associated_data_from_a_file_is_the_same(run: Run, plain: Path) -> None:
    run("keys", "encrypt", "a", "plain", "-o", "cipher", "--aad", "größe")
    Path("aad").write_bytes("größe".encode())
    run("keys", "decrypt", "a", "cipher", "-o", "back", "--aad-file", "aad")
    run("keys", "decrypt", "a", "cipher", "-o", "back", "--aad-file", "-", stdin="größe".encode())
    run("keys", "decrypt", "a", "cipher", "-o", "wrong", "--aad-file", "aad", "--aad", "x", code=2)
    run("keys", "decrypt", "a", "-", "-o", "wrong", "--aad-file", "-", stdin=b"x", code=2)
    assert "wrong" not in names()


@pytest.mark.parametrize("cut", [100, 400, len(CONTENT) // 2, -1])
def test_a_cut_ciphertext_leaves_nothing(run: Run, plain: Path, cut: int) -> None:
    run("keys", "encrypt", "a", "plain", "-o", "cipher")
    cipher = Path("cipher").read_bytes()
    Path("cipher").write_bytes(cipher[:cut])
    Path("old").write_bytes(b"what was there before")
    result = run("keys", "decrypt", "a", "cipher", "-o", "new", code=5)
    assert result.stdout == ""
    run("keys", "decrypt", "a", "cipher", "-o", "old", code=5)
    assert Path("old").read_bytes() == b"what was there before"
    assert run("keys", "decrypt", "a", "cipher", "-o", "-", code=5).stdout_bytes == b""
    assert names() == {"plain", "cipher", "old"}


def test_a_file_that_is_no_ciphertext_is_wrong_usage(run: Run, plain: Path) -> None:
    for content in (b"", b"something else"):
        Path("other").write_bytes(content)
        run("keys", "decrypt", "a", "other", "-o", "back", code=2)
    assert names() == {"plain", "other"}


def test_a_changed_ciphertext_or_other_associated_data_ends_with_5(run: Run, plain: Path) -> None:
    run("keys", "encrypt", "a", "plain", "-o", "cipher", "--aad", "x")
    run("keys", "decrypt", "a", "cipher", "-o", "back", "--aad", "y", code=5)
    run("keys", "decrypt", "a", "cipher", "-o", "back", code=5)
    run("keys", "create", "b", "--algorithm", "AES_256")
    run("keys", "decrypt", "b", "cipher", "-o", "back", "--aad", "x", code=5)
    cipher = bytearray(Path("cipher").read_bytes())
    cipher[-1] ^= 1
    Path("cipher").write_bytes(cipher)
    run("keys", "decrypt", "a", "cipher", "-o", "back", "--aad", "x", code=5)
    assert names() == {"plain", "cipher"}


@pytest.mark.parametrize("output", ["missing/out", ".", "plain/out"])
def test_an_output_that_cannot_be_written_is_refused_first(run: Run, plain: Path, output: str) -> None:
    result = run("keys", "encrypt", "a", "plain", "-o", output, code=2)
    assert result.stderr.startswith("Error: ")
    assert "ENCRYPT" not in run("audit", "list", "--operation", "ENCRYPT").stdout
    assert names() == {"plain"}


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX")
def test_what_is_no_regular_file_is_never_replaced(run: Run, plain: Path) -> None:
    os.mkfifo("pipe")
    assert "not a regular file" in run("keys", "encrypt", "a", "plain", "-o", "pipe", code=2).stderr
    assert Path("pipe").is_fifo()


def test_a_symbolic_link_keeps_pointing_to_what_is_replaced(run: Run, plain: Path) -> None:
    Path("real").write_bytes(b"old")
    Path("link").symlink_to("real")
    run("keys", "encrypt", "a", "plain", "-o", "link")
    assert Path("link").is_symlink()
    run("keys", "decrypt", "a", "real", "-o", "back")
    assert Path("back").read_bytes() == CONTENT


def test_json_and_a_result_do_not_share_standard_output(run: Run, plain: Path) -> None:
    for output in ((), ("-o", "-")):
        error = json.loads(run("keys", "encrypt", "a", "plain", *output, "--json", code=2).stderr)["error"]
        assert error["type"] == "UsageError"
        assert "-o" in error["message"]


def test_without_nameless_files_it_works_the_same(run: Run, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    run("keys", "encrypt", "a", "plain", "-o", "cipher")
    run("keys", "decrypt", "a", "cipher", "-o", "back")
    assert Path("back").read_bytes() == CONTENT
    run("keys", "decrypt", "a", "cipher", "-o", "wrong", "--aad", "x", code=5)
    assert names() == {"plain", "cipher", "back"}
