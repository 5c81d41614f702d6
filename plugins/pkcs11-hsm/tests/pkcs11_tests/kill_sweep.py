"""Run as a program: kill the creation of a key at every call of the module, and in the midst of it.

``kill_sweep.py ALGORITHM PROXY DIRECTORY`` prints how many kills there were, and which states they left.
"""

from __future__ import annotations

import os
import signal
import sys
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
DELAYS = range(0, 8_000, 400)
ABSENT, WHOLE = 10, 11

Plan = Callable[[Proxy], object]


def at_call(proxy: Proxy, function: str, first: int, *, after: bool) -> None:
    proxy.kill(function, first=first, after=after)


def later(proxy: Proxy, microseconds: int) -> None:
    proxy.kill_later(microseconds)


def plans() -> Iterator[Plan]:
    for function in FUNCTIONS:
        for first in (1, 2, 3):
            for after in (False, True):
                yield partial(at_call, function=function, first=first, after=after)
    for delay in DELAYS:
        yield partial(later, microseconds=delay)


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
    kills, states = 0, set()
    for plan in plans():
        label = KeyLabel(instance_id=INSTANCE, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
        kills += killed(replace(token, module=proxy_path), directory, label, algorithm, plan)
        states.add(
            {ABSENT: "absent", WHOLE: "whole"}.get(state := look(token, directory, label, algorithm), str(state))
        )
    sys.stdout.write(" ".join([str(kills), *sorted(states)]))


if __name__ == "__main__":
    main()
