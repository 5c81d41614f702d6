"""The program as a process: streams that end early, signals, terminals, what is not installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX streams and signals")
PROGRAM = str(Path(sys.executable).with_name("keyclave"))
Run = Callable[..., Result]


@pytest.fixture
def key(run: Run) -> str:
    run("keys", "create", "a", "--algorithm", "AES_256")
    return "a"


def test_the_package_runs_as_the_program(config: Path, key: str) -> None:
    command = [sys.executable, "-m", "keyclave", "--config", str(config), "keys", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [found["name"] for found in json.loads(done.stdout)] == [key]


@posix
@pytest.mark.parametrize(
    "arguments", [("audit", "verify"), ("audit", "list", "--json"), ("keys", "list"), ("keys", "encrypt", "a", "-")]
)
def test_a_reader_that_leaves_is_no_traceback(config: Path, key: str, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, "--config", str(config), *arguments], stdout=writing, stderr=-1, input=b"x" * 100, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [("audit", "verify"), ("keys", "encrypt", "a", "-")])
def test_a_full_disk_behind_standard_output_is_an_error(config: Path, key: str, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PROGRAM, "--config", str(config), *arguments], stdout=full, stderr=-1, input=b"x" * 100, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == b"Error: No space left on device"
    assert b"Traceback" not in done.stderr


@posix
def test_closed_streams_are_no_traceback(config: Path, key: str) -> None:
    for redirect, code in ((">&-", 1), ("<&-", 2)):
        command = f'"{PROGRAM}" --config "{config}" keys encrypt a - {redirect}'
        done = subprocess.run(["sh", "-c", command], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == code
        assert done.stderr.startswith(b"Error: standard ")
    command = f'"{PROGRAM}" --config "{config}" keys list >&-'
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0


@posix
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_an_ended_decryption_leaves_no_plaintext(config: Path, key: str, number: int, code: int) -> None:
    """It is ended while it waits for the rest of its input."""
    if number == signal.SIGKILL and not hasattr(os, "O_TMPFILE"):
        pytest.skip("only Linux has files without a name")
    encrypt = [PROGRAM, "--config", str(config), "keys", "encrypt", key, "-"]
    cipher = subprocess.run(encrypt, input=os.urandom(8 << 20), capture_output=True, check=True).stdout
    decrypt = subprocess.Popen(
        [*encrypt[:-3], "decrypt", key, "-", "-o", "plain"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert decrypt.stdin is not None
    decrypt.stdin.write(cipher[: 4 << 20])  # a pipe holds far less: most of it has been read after this
    decrypt.stdin.flush()
    decrypt.send_signal(number)
    _, said = decrypt.communicate()
    assert decrypt.returncode == code
    assert b"Traceback" not in said
    assert os.listdir() == []  # noqa: PTH208  hidden names too


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_fr_016_health_is_watched_until_it_is_interrupted(config: Path, number: int) -> None:
    config.write_text(config.read_text() + '\n[backends.hsm]\nplugin = "no-such-plugin"\n')
    watch = [PROGRAM, "--config", str(config), "health", "--watch"]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = sorted(program.stdout.readline().rstrip().split("\t") for _ in range(2))
        program.send_signal(number)
        _, said = program.communicate()
    assert [line[:3] for line in lines] == [["hsm", "DEGRADED", "-"], ["software", "AVAILABLE", "-"]]
    assert "no-such-plugin" in lines[0][3]
    assert "Traceback" not in said
    assert program.returncode == 0


@posix
def test_fr_016_a_watch_that_ends_while_a_backend_is_unavailable_says_so(run: Run, config: Path) -> None:
    config.write_text(config.read_text() + '\n[backends.hsm]\nplugin = "no-such-plugin"\n')
    for _ in range(2):
        run("health", code=4)
    watch = [PROGRAM, "--config", str(config), "health", "--watch", "--json"]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "{\n"
        program.send_signal(signal.SIGTERM)
        program.communicate()
    assert program.returncode == 4


@posix
def test_on_a_terminal_tables_are_drawn_and_results_are_not_printed(config: Path, key: str) -> None:
    listed = on_terminal(config, "keys", "list")
    assert b"Algorithm" in listed
    assert b"AES_256" in listed
    assert b"\t" not in listed
    assert b"name a file with -o".lower() in on_terminal(config, "keys", "encrypt", key, "-", code=2).lower()
    assert b"\x1b[" in on_terminal(config, "tour")
    assert on_terminal(config, "keys", "list", "--json").startswith(b"[\r\n{")


@posix
def test_a_narrow_terminal_cuts_nothing_off(run: Run, config: Path, key: str) -> None:
    run("keys", "encrypt", "missing", "-", stdin=b"x", code=3)
    shown = on_terminal(config, "audit", "list", columns=40).decode()
    rows = [line.split() for line in shown.splitlines() if "KEY_GENERATION" in line or "ENCRYPT" in line]
    records = json.loads(run("audit", "list", "--json").stdout)
    assert [row[3] for row in rows] == [record["key_handle_reference"] for record in records]
    assert all(word in shown for word in ("KeyNotFound:", "there", "such"))
    assert "…" not in shown


@posix
def test_on_a_terminal_a_confirmation_is_asked_for(run: Run, config: Path, key: str) -> None:
    revoke = ("keys", "revoke", key, "--reason", "lost")
    assert b"cannot be undone. [y/N]:" in on_terminal(config, *revoke, code=130, answer=b"n\n")
    assert json.loads(run("keys", "show", key, "--json").stdout)[0]["status"] == "ACTIVE"
    assert b"is revoked" in on_terminal(config, *revoke, answer=b"y\n")


def on_terminal(config: Path, *arguments: str, code: int = 0, answer: bytes = b"", columns: int = 160) -> bytes:
    """Run the program on a terminal of its own, and return what the terminal showed."""
    import pty  # noqa: PLC0415  POSIX only

    main, side = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    command = [PROGRAM, "--config", str(config), *arguments]
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment) as program:
        os.close(side)
        os.write(main, answer)
        shown = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:  # Linux: the other side was closed
                break
            if not piece:
                break
            shown += piece
    os.close(main)
    assert program.returncode == code, shown
    return shown


def test_without_click_the_program_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from keyclave.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == "Next: pip install 'keyclave[cli]'"


def test_an_interrupt_while_it_is_being_imported_is_no_traceback() -> None:
    code = (
        "import sys, types; stub = types.ModuleType('click')\n"
        "def interrupt(name): raise KeyboardInterrupt\n"
        "stub.__getattr__ = interrupt; sys.modules['click'] = stub; from keyclave.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Error: the run was interrupted\n")


@pytest.mark.parametrize(("calls", "taken_down"), [(0, "taken down\n"), (1, "")])
def test_nothing_is_taken_down_around_a_call_that_still_runs(calls: int, taken_down: str) -> None:
    """The library of a token crashes in about one of three processes that end in an orderly way around its call."""
    code = (
        "import atexit, sys, threading, time; atexit.register(print, 'taken down')\n"
        f"for _ in range({calls}): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "sys.argv = ['keyclave', '--help']; from keyclave.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: keyclave")
    assert done.stdout.partition("143  terminated (SIGTERM)\n")[2] == taken_down


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_a_large_file_takes_no_more_memory_than_a_small_one(config: Path, key: str) -> None:
    for size, file in ((1, "small"), (96 << 20, "large")):
        with Path(file).open("wb") as sparse:
            sparse.truncate(size)
    encrypted = [most_memory(config, "encrypt", key, file, "-o", f"{file}.enc") for file in ("small", "large")]
    decrypted = [most_memory(config, "decrypt", key, f"{file}.enc", "-o", file) for file in ("small", "large")]
    assert Path("large").stat().st_size == 96 << 20
    for small, large in (encrypted, decrypted):
        assert large - small < 16 << 20


def most_memory(config: Path, *arguments: str) -> int:
    """Run a command, and return the most bytes of memory that its process had."""
    process = subprocess.Popen([PROGRAM, "--config", str(config), "keys", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


def test_a_secret_given_as_an_argument_is_not_repeated(run: Run) -> None:
    for arguments in (("--pin", "hunter2"), ("--pin=hunter2",), ("--json", "--pin", "hunter2")):
        said = run("keys", "create", "n", "--algorithm", "ED25519", *arguments, code=2)
        assert "hunter2" not in said.output
