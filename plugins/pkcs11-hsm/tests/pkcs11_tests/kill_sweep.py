"""Run as a program: kill the creation of a key at every call of the module, and at everything that it writes.

``kill_sweep.py ALGORITHM PROXY DIRECTORY`` prints how many kills of each kind there were, and what they left.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from keyclave.errors import KeyNotFound
from keyclave.plugin import KeyLabel
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11.constants import Attribute
from pkcs11_tests.backends import create, require_signatures
from pkcs11_tests.proxy import Proxy
from pkcs11_tests.worker import open_in_child

from tests.services import softhsm
from tests.services.tokens import Token

INSTANCE = uuid.UUID(int=1)
FUNCTIONS = ("FindObjectsInit", "FindObjectsFinal", "GenerateKey", "GenerateKeyPair", "GetAttributeValue")
PR_SET_PTRACER, ANY_PROCESS = 0x59616D61, -1  # prctl(2): so that strace, a child, may trace its parent
# An emptied file is the same whatever should be in it: once is enough, and a pair of keys has many writes.
SYSTEM_CALLS = {"AES_256": ("ftruncate", "write"), "ECDSA_P256": ("ftruncate",)}
ABSENT, WHOLE = 10, 11

Plan = Callable[[Proxy], None]


def at_call(proxy: Proxy, function: str, first: int, *, after: bool) -> None:
    proxy.kill(function, first=first, after=after)


def at_system_call(_: Proxy, name: str, number: int) -> None:
    """SoftHSM empties and writes the file of an object for each attribute, and at last for its value."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY_PROCESS)
    options = ["-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}"]
    subprocess.Popen(["strace", *options, "-p", str(os.getpid())])
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.001)


def at_calls() -> Iterator[Plan]:
    for function in FUNCTIONS:
        for first in (1, 2, 3):
            for after in (False, True):
                yield partial(at_call, function=function, first=first, after=after)


def at_system_calls(name: str) -> Iterator[Plan]:
    return (partial(at_system_call, name=name, number=number) for number in itertools.count(1))


def in_child(work: Callable[[], int]) -> int:
    """Return the exit status of a child, negative if it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def open_token(token: Token, directory: Path) -> Pkcs11Backend:
    return open_in_child(str(token.module), token.label, str(token.pin_file), str(directory / "data"), INSTANCE)


def killed(behind_proxy: Token, directory: Path, label: KeyLabel, algorithm: str, plan: Plan) -> bool:
    def work() -> int:
        backend = open_token(behind_proxy, directory)
        proxy = Proxy(behind_proxy.module)
        proxy.reset()
        plan(proxy)
        create(backend, label, algorithm)
        return 0

    status = in_child(work)
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def look(token: Token, directory: Path, label: KeyLabel, algorithm: str) -> int:
    """Return what is there; then create the key, and find one whole one."""

    def require_whole(backend: Pkcs11Backend) -> None:
        key = backend.find_key(label=label)
        if algorithm == "AES_256":
            ciphertext = backend.encrypt(key=key, plaintext=b"data key", aad=b"").ciphertext
            assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"").plaintext == b"data key"
        else:
            require_signatures(backend, key, backend.public_key(key=key).spki)

    def work() -> int:
        backend = open_token(token, directory)
        listed = [key.label for key in backend.list_keys(page=None).keys if key.label == label]
        try:
            require_whole(backend)
        except KeyNotFound:
            assert listed == []
            state = ABSENT
        else:
            assert listed == [label]
            state = WHOLE
        create(backend, label, algorithm)
        require_whole(backend)
        session = backend._pool.take()
        objects = list(session.raw.get_objects({Attribute.LABEL: str(label)}))
        assert len(objects) == (1 if algorithm == "AES_256" else 2), objects
        backend.destroy_key(key=backend.find_key(label=label))
        return state

    return in_child(work)


def main() -> None:
    algorithm, proxy_path, directory = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    token = softhsm.make_tokens(directory, "kill")["kill"]
    os.environ.update(token.environment)
    os.environ["PROXY_MODULE"] = str(token.module)
    states = set()

    def attempt(plan: Plan) -> bool:
        label = KeyLabel(instance_id=INSTANCE, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
        was_killed = killed(replace(token, module=proxy_path), directory, label, algorithm, plan)
        state = look(token, directory, label, algorithm)
        states.add({ABSENT: "absent", WHOLE: "whole"}.get(state, str(state)))
        return was_killed

    calls = sum(map(attempt, at_calls()))
    writes = sum(1 for name in SYSTEM_CALLS[algorithm] for _ in itertools.takewhile(attempt, at_system_calls(name)))
    sys.stdout.write(" ".join([str(calls), str(writes), *sorted(states)]))


if __name__ == "__main__":
    main()
