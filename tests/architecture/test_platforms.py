"""Every module can be imported where Python has none of the Unix-only modules and functions."""

from __future__ import annotations

import subprocess
import sys

import pytest

ABSENT_MODULES = (
    *("crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog"),
    *("termios", "tty"),
)
ABSENT_NAMES = {
    "os": (
        *("chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getuid"),
        *("getpgid", "getloadavg", "killpg", "lchown", "mkfifo", "mknod", "nice", "openpty", "posix_fadvise"),
        *("posix_spawn", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "setgid", "setsid", "setuid"),
        *("statvfs", "sync", "sysconf", "uname", "wait", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"),
        *("O_SYNC", "O_TMPFILE", "WNOHANG"),
    ),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "alarm", "pthread_sigmask", "setitimer"),
    "socket": ("AF_UNIX", "socketpair"),
    "time": ("CLOCK_MONOTONIC", "clock_gettime", "tzset"),
}

# What others import is loaded first, as it is; then our modules are imported again without what Windows lacks.
PROGRAM = f"""
import importlib, pkgutil, sys

PACKAGES = ("keyclave", "keyclave_software", "keyclave_contract_tests")

def import_all():
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith("keyclave.state.migrations."):  # alembic runs those
                importlib.import_module(module.name)

import_all()
ours = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
for name in ours:
    del sys.modules[name]
for name in {ABSENT_MODULES}:
    sys.modules[name] = None
for module, names in {ABSENT_NAMES}.items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
sys.platform = "win32"
EXTRA
import_all()
print(len(ours), len([name for name in sys.modules if name.partition(".")[0] in PACKAGES]))
"""


def _import_all(extra: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.replace("EXTRA", extra)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_module_is_imported_without_what_is_unix_only() -> None:
    result = _import_all()
    assert result.returncode == 0, result.stderr
    before, after = map(int, result.stdout.split())
    assert before == after > 100


@pytest.mark.parametrize("line", ["import fcntl", "from os import geteuid", "import signal; signal.SIGKILL"])
def test_the_check_notices_a_module_that_needs_unix(line: str) -> None:
    result = _import_all(line)
    assert result.returncode != 0
    assert "ImportError" in result.stderr or "AttributeError" in result.stderr or "ModuleNotFound" in result.stderr
