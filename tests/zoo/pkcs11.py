"""The second right backend that faults are made from: the PKCS#11 backend on a scratch token of SoftHSM2."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from keyclave.plugin import BackendContext
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from keyclave_pkcs11_hsm.opening import open_pkcs11_backend
from keyclave_pkcs11_hsm.settings import Pkcs11Settings

from tests.services.softhsm import make_tokens
from tests.services.tokens import Token

__all__ = ["opened"]

_VARIABLE = "KEYCLAVE_ZOO_TOKEN"
"""Where a process keeps the directory of its token, for its children."""
_LABEL = "zoo"


def opened(kind: type[Pkcs11Backend], context: BackendContext) -> Pkcs11Backend:
    """Open a backend of a class as the PKCS#11 plugin opens its own."""
    token = _token()
    backend = open_pkcs11_backend(
        Pkcs11Settings(module=token.module, token=token.label, pin_file=token.pin_file), context
    )
    backend.__class__ = kind  # what is wrong with it are its hooks; everything below them is the plugin's own
    return backend


@cache
def _token() -> Token:
    """Return the token of this process, or of the one that started it: SoftHSM2 reads its configuration once."""
    inherited = os.environ.get(_VARIABLE)
    if inherited is not None:
        module, label, pin_file = inherited.split(os.pathsep)
        return Token(Path(module), label, Path(pin_file))
    directory = Path(tempfile.mkdtemp(prefix="keyclave-zoo-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    token = make_tokens(directory, _LABEL)[_LABEL]
    os.environ.update(token.environment)
    os.environ[_VARIABLE] = os.pathsep.join((str(token.module), token.label, str(token.pin_file)))
    return token
