"""Run as a program: open a token, fork, and let both sign. ``forking.py MODULE TOKEN PIN_FILE DIRECTORY LABEL``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

from keyclave.errors import KeyclaveError
from keyclave.plugin import KeyLabel
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import create, sign_and_verify
from pkcs11_tests.worker import open_in_child


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def in_child(inherited: Pkcs11Backend, label: KeyLabel, open_token: Callable[[], Pkcs11Backend]) -> None:
    key = KeyLabel.parse(str(label))
    try:
        inherited.find_key(label=key)
    except KeyclaveError as error:
        say(f"child: {type(error).__name__}")
    inherited.close()
    backend = open_token()
    created = create(backend, label, "ECDSA_P256")
    assert created.public_key is not None
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"child")
    backend.close()
    say("child signed")


def main() -> None:
    module, token, pin_file, directory, text = sys.argv[1:]
    label = KeyLabel.parse(text)
    open_token = partial(open_in_child, module, token, pin_file, directory, label.instance_id)
    backend = open_token()
    created = create(backend, label, "ECDSA_P256")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            in_child(backend, label, open_token)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    assert created.public_key is not None
    sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", b"parent")
    say("parent signed")
    backend.close()


if __name__ == "__main__":
    main()
