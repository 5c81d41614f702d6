"""Kill an operation after every change that it makes on the disk, and look at what recovery makes of it.

Run as a program: ``kill_sweep.py SCRATCH OPERATION``. It prints one JSON object: after how many changes the kill
fired, and every broken promise. Each trial is a forked process that kills itself with SIGKILL at the first line of
code after its change; another one recovers and checks. The parent never opens the state. Between two changes on the
disk a kill leaves the same behind wherever it comes, so nothing is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import keyclave
import keyclave.app  # each trial is a fork of this process, and imports nothing again
import keyclave_software.backend  # noqa: F401  the same
import stevedore  # noqa: F401  the same
from keyclave.errors import KeyclaveError
from keyclave.models import KeyMigrationRecord, KeyStatus
from keyclave.services import renewal

from core.tests.services.foreign_keys import URI, foreign_settings, make_foreign_key
from core.tests.services.long_ago import long_ago

MESSAGE = b"signed before the kill"
PERIOD = timedelta(hours=1)
TRACED = (
    *("/keyclave/services/", "/keyclave/state/", "/keyclave/audit/", "/keyclave/plugin/"),
    *("/keyclave_software/", "/keyclave_acme_foreign/"),
)
"""The code that changes something on the disk: the steps, the transactions, the keys."""
OPERATIONS: dict[str, Callable[[keyclave.Keyclave], Any]] = {
    "create": lambda clave: clave.keys.create("new", "ED25519"),
    "adopt": lambda clave: clave.keys.adopt("new", URI, backend="shared"),
    "rotate": lambda clave: clave.rotation.rotate("k"),
    "validate": lambda clave: clave.rotation.rotate("both", validation_period=PERIOD),
    "promote": lambda clave: clave.rotation.promote("both"),
    "rollback": lambda clave: clave.rotation.rollback("both", "test"),
    "revoke": lambda clave: clave.keys.revoke("k", "test"),
    "destroy": lambda clave: clave.keys.destroy("gone", 1),
    "cancel": lambda clave: clave.keys.cancel_destruction("later", 1),
    "sign": lambda clave: clave.keys.sign("k", MESSAGE),
    "migrate": lambda clave: clave.migration.run(clave.migration.plans()[0].plan_id),
    "rekey": lambda clave: clave.migration.run(clave.migration.plans()[0].plan_id),
    "revert": lambda clave: clave.migration.rollback(clave.migration.list()[0].migration_id, "test"),
    "unrekey": lambda clave: clave.migration.rollback(clave.migration.list()[0].migration_id, "test"),
    "retire": lambda clave: clave.migration.retire(clave.migration.list()[0].migration_id, confirm="moving"),
    "recover": lambda clave: clave,
}
"""What is interrupted: of migrations and their rollbacks those of a wrapped key, and of a new one that took over.

``recover`` is the opening of a state in which a rotation was killed before.
"""


AFTERWARDS = {
    "validate": ["ACTIVE", "PENDING"],
    "promote": ["DEPRECATED", "ACTIVE"],
    "rollback": ["ACTIVE", "REVOKED"],
}
"""What the versions of the key ``both`` are after what concerns its validation period."""


MIGRATIONS: dict[str, tuple[tuple[str | None, ...], str, str]] = {
    "migrate": ((None, "IN_PROGRESS"), "COMPLETED", "COMPLETED"),
    "rekey": ((None, "IN_PROGRESS"), "COMPLETED", "COMPLETED"),
    "revert": (("COMPLETED",), "ROLLED_BACK", "ROLLED_BACK"),
    "unrekey": (("COMPLETED",), "ROLLED_BACK", "ROLLED_BACK"),
    "retire": (("COMPLETED",), "RETIRED", "COMPLETED"),
}
"""What a migration may be if it was interrupted, and what it is if it was not; and its status at the end."""


class KillAfter:
    """A trace function that kills the process once the disk has changed n times."""

    def __init__(self, directory: Path, n: int) -> None:
        self._directory = directory
        self._left = n
        self._seen = on_disk(directory)
        self._lock = threading.Lock()

    def __call__(self, frame: FrameType, event: str, arg: object) -> KillAfter | None:
        name = frame.f_code.co_filename.replace(os.sep, "/")
        if not any(part in name for part in TRACED):
            return None
        with self._lock:
            now = on_disk(self._directory)
            if now != self._seen:
                self._seen = now
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        return self


def on_disk(directory: Path | str) -> list[tuple[str, int, int, int]]:
    """Return what tells one state of the disk from another. The shared memory of SQLite is none of it."""
    found = []
    for entry in os.scandir(directory):
        if entry.is_dir():
            found += on_disk(entry.path)
        elif not entry.name.endswith("-shm"):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                found.append((entry.path, status.st_ino, status.st_size, status.st_mtime_ns))
    return sorted(found)


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


def prepare(directory: Path, operation: str) -> Path:
    """Make an instance with a signing key and a revoked one, and a signature to remember."""
    directory.mkdir()
    config = directory / "keyclave.toml"
    config.write_text(
        '[environment]\ntype = "local"\n[environment.rotation]\nvalidation_period = "0s"\n'
        f'[state]\ndirectory = "{directory}/state"\n[backends.software]\nplugin = "software"\n'
    )

    def make() -> None:
        with keyclave.open(config) as clave:
            clave.keys.create("k", "ED25519")
            (directory / "signature").write_bytes(clave.keys.sign("k", MESSAGE).signature)
            clave.keys.create("gone", "ED25519")
            clave.keys.revoke("gone", "test")

    assert in_child(make) == 0
    if operation in AFTERWARDS:
        assert in_child(lambda: begin_validation(config, operation)) == 0
    if operation in MIGRATIONS:
        config.write_text(config.read_text() + '[backends.other]\nplugin = "software"\n')
        assert in_child(lambda: begin_migration(config, operation)) == 0
    if operation == "adopt":
        shared = directory / "state" / "shared"
        (directory / "theirs").write_bytes(make_foreign_key(shared))
        config.write_text(config.read_text() + foreign_settings(shared))
    if operation == "cancel":
        config.write_text(config.read_text() + foreign_settings(directory / "state" / "shared", deletion_days="7"))
        assert in_child(lambda: schedule_destruction(config)) == 0
    if operation == "recover":
        assert os.WTERMSIG(in_child(lambda: die_while_rotating(config))) == signal.SIGKILL
    return config


def begin_validation(config: Path, operation: str) -> None:
    """Make a key, and for what ends a validation period let one begin."""
    with keyclave.open(config) as clave:
        clave.keys.create("both", "ED25519")
        if operation != "validate":
            clave.rotation.rotate("both", validation_period=PERIOD)


def begin_migration(config: Path, operation: str) -> None:
    """Plan the migration of a key, and let it be approved; for what comes after it, carry it out 100 days ago."""
    with ExitStack() as stack:
        alice, bob = (stack.enter_context(keyclave.open(config, principal=name)) for name in ("alice", "bob"))
        if operation not in {"migrate", "rekey"}:
            stack.enter_context(long_ago())
        alice.keys.create("moving", "ED25519", wrappable=operation not in {"rekey", "unrekey"})
        (config.parent / "moving").write_bytes(alice.keys.sign("moving", MESSAGE).signature)
        plan = alice.migration.plan(["moving"], "other")
        bob.migration.approve(plan.plan_id, "test")
        if operation not in {"migrate", "rekey"}:
            alice.migration.run(plan.plan_id)
            alice.rotation.confirm_clock()


def schedule_destruction(config: Path) -> None:
    """Let a deprecated version be destroyed some days later."""
    with keyclave.open(config) as clave:
        with long_ago():
            clave.keys.create("later", "ED25519", backend="shared")
            clave.rotation.rotate("later")
        clave.keys.destroy("later", 1)


def die_while_rotating(config: Path) -> None:
    """Kill this process after the new version is recorded and before it is active."""
    vars(renewal)["validate"] = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    keyclave.open(config).rotation.rotate("k")


def copy(template: Path, target: Path) -> Path:
    """Copy a prepared instance and let its settings point at the copy."""
    shutil.copytree(template, target)
    config = target / "keyclave.toml"
    config.write_text(config.read_text().replace(str(template), str(target)))
    return config


def attempt(config: Path, operation: str, n: int) -> None:
    """Run the operation with the kill armed; say so on disk if it returned."""
    tracer = KillAfter(config.parent / "state", n)
    if operation == "recover":
        trace(tracer)
    clave = keyclave.open(config)
    trace(tracer)
    OPERATIONS[operation](clave)
    trace(None)
    (config.parent / "acknowledged").touch()


def trace(tracer: KillAfter | None) -> None:
    threading.settrace(tracer)
    sys.settrace(tracer)


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
        broken += theirs_or_ours(clave, config.parent, acknowledged=acknowledged) if operation == "adopt" else []
        broken += there_or_scheduled(clave, acknowledged=acknowledged) if operation == "cancel" else []
        broken += both_or_one(clave, operation, acknowledged=acknowledged) if operation in AFTERWARDS else []
        broken += (
            here_or_there(clave, config.parent, operation, acknowledged=acknowledged)
            if operation in MIGRATIONS
            else []
        )
        every = [v for name in names for v in clave.keys.versions(name)]
        living = sum(v.destroyed_at is None for v in every if v.backend_id in {"software", "other"})
        living += sum(map(is_kept_at_source, clave.migration.list()))
        files = [path.name for path in (config.parent / "state" / "backends").rglob("*")]
        # The keystore's own master key file is not a version.
        kept = sum(len(name) == len("0" * 32 + ".key") for name in files if name.endswith(".key"))
        if kept != living:
            broken.append(f"{living} versions exist, {kept} are in the keystore")
        broken += [f"left over: {name}" for name in files if name.endswith(".tmp")]
        broken += destruction_is_recorded(clave)
        recoveries = [r for r in clave.audit.records() if r.operation_type == "RECOVER"]
        if operation == "recover" and [r.status for r in recoveries] != ["SUCCESS"]:
            broken.append(f"not recovered once: {recoveries}")
        report = clave.audit.verify()
        if not report.ok:
            broken.append(f"the audit log is broken: {report}")
    return broken


def destruction_is_recorded(clave: keyclave.Keyclave) -> list[str]:
    """Look for a record of the destruction, or of the recovery that finished it."""
    if clave.keys.get("gone").destroyed_at is None:
        return []
    succeeded = {r.operation_type for r in clave.audit.records() if r.status == "SUCCESS"}
    return [] if succeeded & {"DESTROY", "RECOVER"} else ["a destruction is not in the audit log"]


def theirs_or_ours(clave: keyclave.Keyclave, directory: Path, *, acknowledged: bool) -> list[str]:
    """Look whether the foreign key is untouched, and either adopted and at work or still foreign."""
    broken = []
    if (directory / "state" / "shared" / "theirs.pem").read_bytes() != (directory / "theirs").read_bytes():
        broken.append("the foreign key was changed")
    adopted = "new" in {handle.name for handle in clave.keys.list()}
    if adopted:
        clave.keys.verify("new", MESSAGE, clave.keys.sign("new", MESSAGE).signature)
    foreign = URI in {key.uri for key in clave.keys.adoptable("shared")}
    if adopted is foreign or (acknowledged and not adopted):
        broken.append(f"adopted: {adopted}, foreign: {foreign}")
    return broken


def is_kept_at_source(record: KeyMigrationRecord) -> bool:
    """Return whether the source has a key that the state keeps elsewhere."""
    return record.status == "COMPLETED" and record.strategy == "WRAPPED" and record.retired_at is None


def here_or_there(clave: keyclave.Keyclave, directory: Path, operation: str, *, acknowledged: bool) -> list[str]:
    """Look whether one place has the key, and the other one is as the record says; then end the migration."""
    record = next(iter(clave.migration.list()), None)
    before, after, done = MIGRATIONS[operation]
    status = None if record is None else "RETIRED" if record.retired_at else record.status.value
    if status not in ({after} if acknowledged else {*before, after}):
        return [f"acknowledged: {acknowledged}, and the migration is {status}"]
    listed = {str(reference.label) for reference in clave._backends.get("other").list_keys()}
    there = clave.keys.get("moving").backend_id == "other"
    if there is not bool(listed) or there is not (status in {"COMPLETED", "RETIRED"}):
        return [f"the migration is {status}, there: {there}, and listed: {listed}"]
    signed = clave.keys.sign("moving", MESSAGE)
    if clave.keys.verify("moving", MESSAGE, signed.signature) != signed.version:
        return ["a signature verifies as another version"]
    if clave.keys.verify("moving", MESSAGE, (directory / "moving").read_bytes()) != 1:
        return ["the signature from before the migration verifies as another version"]
    if status in before:
        OPERATIONS[operation](clave)
    ended = clave.migration.list()[0]
    if ended.status != done or (operation == "retire" and ended.retired_at is None):
        return [f"it was not ended the second time: {ended}"]
    return []


def both_or_one(clave: keyclave.Keyclave, operation: str, *, acknowledged: bool) -> list[str]:
    """Look whether a validation period is there as a whole or not at all, and signatures are as it says."""
    statuses = [version.status.value for version in clave.keys.versions("both")]
    before = [["ACTIVE"], ["ACTIVE", "REVOKED"]] if operation == "validate" else [["ACTIVE", "PENDING"]]
    if statuses != AFTERWARDS[operation] and (acknowledged or statuses not in before):
        return [f"versions: {statuses}"]
    if bool(clave.recovery.waiting()) is not ("PENDING" in statuses):
        return [f"versions: {statuses}, and waiting: {clave.recovery.waiting()}"]
    if any(v.status is KeyStatus.REVOKED and v.destroyed_at is None for v in clave.keys.versions("both")):
        return ["a version that was given up is not destroyed"]
    signed = clave.keys.sign("both", MESSAGE)
    if (signed.successor is not None) is not ("PENDING" in statuses):
        return [f"versions: {statuses}, signed by version {signed.version}, and beside it {signed.successor}"]
    for made in (signed, *((signed.successor,) if signed.successor else ())):
        if clave.keys.verify("both", MESSAGE, made.signature) != made.version:
            return ["a signature verifies as another version"]
    return []


def there_or_scheduled(clave: keyclave.Keyclave, *, acknowledged: bool) -> list[str]:
    """Look whether state and backend agree on whether a version is still to be destroyed."""
    version = clave.keys.versions("later")[0]
    found = {path.suffix for path in Path(clave.settings.state.directory, "shared").glob("*.*")}
    scheduled = version.destroyed_at is not None
    if scheduled is not (".date" in found) or ".disabled" in found or (scheduled and acknowledged):
        return [f"destroyed at {version.destroyed_at}, and in the backend: {sorted(found)}"]
    return []


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
    """Kill at the n-th change, recover, check; return whether the kill fired, and what is broken."""
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
    if operation in {"adopt", "cancel"}:
        importlib.import_module("keyclave_acme_foreign.plugin")  # the same as above: forks find it imported
    template = scratch / "template"
    prepare(template, operation)
    fired, places, broken = True, 0, {}
    while fired:
        fired, problems = trial(scratch, template, operation, places + 1)
        places += fired
        if problems:
            broken[places] = problems
    print(json.dumps({"places": places, "broken": broken}))  # noqa: T201  the program's answer


if __name__ == "__main__":
    main()
