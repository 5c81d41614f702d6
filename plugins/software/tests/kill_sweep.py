"""Run as a program: kill an operation of the backend at every line that handles files, and look at what that leaves.

``kill_sweep.py OPERATION SCRATCH`` prints how many kills there were and which states they left: old, new.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key
from keyclave.crypto.wrapping import generate_wrapping_key
from keyclave.errors import KeyDisabled, KeyNotFound
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreateKeyRequest, ImportKeyRequest, KeyLabel, KeyReference
from keyclave_software import plugin, tickets
from keyclave_software.backend import SoftwareBackend

from plugins.software.tests.wrapped import wrap

INSTANCE = UUID(int=1)
OTHER, TARGET = (
    KeyLabel(instance_id=INSTANCE, key_id=UUID(int=n), version=1, operation_id=UUID(int=n)) for n in (2, 3)
)
TRACED = ("/keyclave/plugin/files.py", "/storage.py", "/keystore.py", "/unlocking.py")

State = str
"""What became of the key: absent, enabled or disabled."""


def request(label: KeyLabel) -> CreateKeyRequest:
    return CreateKeyRequest(label=label, algorithm="ED25519", exportable=False)


def open_backend(directory: Path) -> SoftwareBackend:
    context = BackendContext(
        backend_id="software",
        instance_id=INSTANCE,
        environment_type=EnvironmentType.LOCAL,
        data_directory=directory,
    )
    backend = plugin.open_backend(plugin.settings_model()(), context)
    assert isinstance(backend, SoftwareBackend)
    return backend


def import_key(backend: SoftwareBackend) -> object:
    ticket = backend.begin_import(
        request=ImportKeyRequest(label=TARGET, algorithm="AES_256", exportable=False),
    )
    return backend.import_key(ticket=ticket, wrapped=wrap(ticket, AESGCM.generate_key(256)))


OPERATIONS: dict[str, tuple[Callable[[SoftwareBackend], object], State, State]] = {
    "create": (lambda backend: backend.create_key(request=request(TARGET)), "absent", "enabled"),
    "import": (import_key, "absent", "enabled"),
    "disable": (lambda backend: backend.disable_key(key=backend.find_key(label=TARGET)), "enabled", "disabled"),
    "enable": (lambda backend: backend.enable_key(key=backend.find_key(label=TARGET)), "disabled", "enabled"),
    "destroy": (lambda backend: backend.destroy_key(key=backend.find_key(label=TARGET)), "enabled", "absent"),
}


class KillAt:
    """A trace function that kills the process at the n-th line of the traced code."""

    def __init__(self, n: int) -> None:
        self._left = n

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def is_killed(run: Callable[[], object], at: int) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            sys.settrace(KillAt(at))
            run()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def make_base(directory: Path, state: State) -> KeyReference:
    backend = open_backend(directory)
    other = backend.create_key(request=request(OTHER)).reference
    if state != "absent":
        target = backend.create_key(request=request(TARGET)).reference
        if state == "disabled":
            backend.disable_key(key=target)
    return other


def state_of(directory: Path, other: KeyReference) -> State:
    """What another process finds. Every key that is listed must be whole."""
    backend = open_backend(directory)
    require_whole(backend, other)
    listed = [key for key in backend.list_keys(page=None).keys if key != other]
    try:
        found = backend.find_key(label=TARGET)
    except KeyNotFound:
        assert listed == []
        return "absent"
    assert listed == [found]
    try:
        require_whole(backend, found)
    except KeyDisabled:
        return "disabled"
    return "enabled"


def require_whole(backend: SoftwareBackend, key: KeyReference) -> None:
    if key.algorithm == "AES_256":
        ciphertext = backend.encrypt(key=key, plaintext=b"data key", aad=b"").ciphertext
        assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"").plaintext == b"data key"
        return
    public_key = load_der_public_key(backend.public_key(key=key).spki)
    assert isinstance(public_key, ed25519.Ed25519PublicKey)
    public_key.verify(backend.sign(key=key, data=b"message", scheme="ED25519").signature, b"message")


def sweep(operation: str, scratch: Path) -> tuple[int, set[State]]:
    run, before, after = OPERATIONS[operation]
    other = make_base(scratch / "base", before)
    states, kills, killed = set(), 0, True
    while killed:
        directory = scratch / str(kills)
        shutil.copytree(scratch / "base", directory)
        backend = open_backend(directory)
        killed = is_killed(lambda: run(backend), kills + 1)  # noqa: B023  called at once
        kills += killed
        found = state_of(directory, other)
        assert found in (before, after), (kills, found)
        states.add(found)
        if found != after:
            run(open_backend(directory))
        assert state_of(directory, other) == after
        shutil.rmtree(directory)
    return kills, states


def sweep_opening(scratch: Path) -> tuple[int, set[State]]:
    kills, killed = 0, True
    while killed:
        directory = scratch / str(kills)
        killed = is_killed(lambda: open_backend(directory), kills + 1)  # noqa: B023  called at once
        kills += killed
        created = open_backend(directory).create_key(request=request(TARGET)).reference
        require_whole(backend := open_backend(directory), created)
        assert backend.list_keys(page=None).keys == (created,)
    return kills, set()


def main() -> None:
    operation, scratch = sys.argv[1], Path(sys.argv[2])
    wrapping_key = generate_wrapping_key()
    vars(tickets)["generate_wrapping_key"] = lambda: wrapping_key  # making one is slow, and not what is swept
    kills, states = sweep_opening(scratch) if operation == "open" else sweep(operation, scratch)
    sys.stdout.write(" ".join([str(kills), *sorted(states)]))


if __name__ == "__main__":
    main()
