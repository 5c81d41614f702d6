"""Kill an operation at every line of Keyclave's code that it reaches, and look at what recovery makes of it.

Run as a program: ``kill_sweep.py SCRATCH OPERATION [STEP]``; a step of 3 takes every third place. It prints one JSON
object: how many places were tried, at how
many the kill fired, and every broken promise. Each trial is a forked process that kills itself with SIGKILL when it
reaches its place; another one recovers and checks. The parent never opens the state.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import keyclave
import keyclave.app  # each trial is a fork of this process, and imports nothing again
import keyclave_software.backend  # noqa: F401  the same
import stevedore  # noqa: F401  the same
from keyclave.errors import KeyclaveError
from keyclave.models import KeyStatus

MESSAGE = b"signed before the kill"
TRACED = ("/keyclave/services/", "/keyclave/state/writer", "/keyclave/plugin/files", "/keyclave_software/storage")
"""The code between whose lines something durable changes: the steps, the transactions, the files."""
OPERATIONS: dict[str, Callable[[keyclave.Keyclave], Any]] = {
    "create": lambda clave: clave.keys.create("new", "ED25519"),
    "rotate": lambda clave: clave.rotation.rotate("k"),
    "revoke": lambda clave: clave.keys.revoke("k", "test"),
    "destroy": lambda clave: clave.keys.destroy("gone", 1),
    "sign": lambda clave: clave.keys.sign("k", MESSAGE),
}


class KillAt:
    """A trace function that kills the process at the n-th new line of the traced files."""

    def __init__(self, n: int) -> None:
        self._left = n
        self._seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> KillAt | None:
        name = frame.f_code.co_filename.replace(os.sep, "/")
        if not any(part in name for part in TRACED):
            return None
        place = (name, frame.f_lineno)
        if event == "line" and place not in self._seen:
            self._seen.add(place)
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def in_child(body: Callable[[], object]) -> int:
    """Run the body in a forked process; return its wait status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def prepare(directory: Path) -> Path:
    """Make an instance with a signing key and a revoked one, and a signature to remember."""
    directory.mkdir()
    config = directory / "keyclave.toml"
    config.write_text(f'[state]\ndirectory = "{directory}/state"\n[backends.software]\nplugin = "software"\n')

    def make() -> None:
        with keyclave.open(config) as clave:
            clave.keys.create("k", "ED25519")
            (directory / "signature").write_bytes(clave.keys.sign("k", MESSAGE).signature)
            clave.keys.create("gone", "ED25519")
            clave.keys.revoke("gone", "test")

    assert in_child(make) == 0
    return config


def copy(template: Path, target: Path) -> Path:
    """Copy a prepared instance and let its settings point at the copy."""
    shutil.copytree(template, target)
    config = target / "keyclave.toml"
    config.write_text(config.read_text().replace(str(template), str(target)))
    return config


def attempt(config: Path, operation: str, n: int) -> None:
    """Run the operation with the kill armed; say so on disk if it returned."""
    clave = keyclave.open(config)
    tracer = KillAt(n)
    threading.settrace(tracer)
    sys.settrace(tracer)
    OPERATIONS[operation](clave)
    sys.settrace(None)
    threading.settrace(None)
    (config.parent / "acknowledged").touch()


def check(config: Path, operation: str) -> list[str]:
    """Recover, and return every promise that does not hold."""
    acknowledged = (config.parent / "acknowledged").exists()
    signature = (config.parent / "signature").read_bytes()
    broken = []
    with keyclave.open(config) as clave:
        if clave.recovery.open_intents():
            broken.append("an intent is still open")
        names = {handle.name for handle in clave.keys.list()}
        versions = {name: clave.keys.versions(name) for name in names}
        statuses = [v.status for v in versions["k"]]
        if KeyStatus.PENDING in statuses:
            broken.append("a version is still pending")
        if operation == "revoke":
            if acknowledged and set(statuses) != {KeyStatus.REVOKED}:
                broken.append("an acknowledged revocation is lost")
        else:
            if statuses.count(KeyStatus.ACTIVE) != 1:
                broken.append(f"active versions: {statuses}")
            broken += works(clave, signature)
        if operation == "rotate" and acknowledged and KeyStatus.DEPRECATED not in statuses:
            broken.append("an acknowledged rotation is lost")
        if operation == "create" and acknowledged and "new" not in names:
            broken.append("an acknowledged key is lost")
        if operation == "destroy" and acknowledged and versions["gone"][0].destroyed_at is None:
            broken.append("an acknowledged destruction is lost")
        living = sum(v.destroyed_at is None for handles in versions.values() for v in handles)
        files = [path.name for path in (config.parent / "state" / "backends").rglob("*") if path.suffix == ".key"]
        # The keystore's own master key file is not a version.
        kept = sum(len(name) == len("0" * 32 + ".key") for name in files)
        if kept != living:
            broken.append(f"{living} versions exist, {kept} are in the keystore")
        report = clave.audit.verify()
        if not report.ok:
            broken.append(f"the audit log is broken: {report}")
    return broken


def works(clave: keyclave.Keyclave, signature: bytes) -> list[str]:
    """Sign with the key, and verify the new and the remembered signature."""
    try:
        clave.keys.verify("k", MESSAGE, clave.keys.sign("k", MESSAGE).signature)
        if clave.keys.verify("k", MESSAGE, signature) != 1:
            return ["the old signature verifies as another version"]
    except KeyclaveError as error:
        return [f"the key does not work: {error!r}"]
    return []


def trial(scratch: Path, template: Path, operation: str, n: int) -> tuple[bool, list[str]]:
    """Kill at the n-th place, recover, check; return whether the kill fired, and what is broken."""
    target = scratch / f"{operation}-{n}"
    config = copy(template, target)
    status = in_child(lambda: attempt(config, operation, n))
    fired = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not fired and status != 0:
        return fired, [f"the operation failed without a kill: status {status}"]
    result = target / "broken.json"
    if in_child(lambda: result.write_text(json.dumps(check(config, operation)))) != 0:
        return fired, ["recovery or the check itself failed"]
    broken = json.loads(result.read_text())
    shutil.rmtree(target)
    return fired, broken


def main() -> None:
    scratch, operation = Path(sys.argv[1]), sys.argv[2]
    template = scratch / "template"
    prepare(template)
    step = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    fired, places, n, broken = True, 0, 1, {}
    while fired:
        fired, problems = trial(scratch, template, operation, n)
        places, n = places + fired, n + step
        if problems:
            broken[n - step] = problems
    print(json.dumps({"places": places, "broken": broken}))  # noqa: T201  the program's answer


if __name__ == "__main__":
    main()
