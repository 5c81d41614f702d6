"""The second right backend that faults are made from: the PKCS#11 backend on a scratch token of SoftHSM2."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path

from keyclave.plugin import (
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from keyclave_pkcs11_hsm.opening import open_pkcs11_backend
from keyclave_pkcs11_hsm.settings import Pkcs11Settings

from tests.services.softhsm import make_tokens
from tests.services.tokens import PIN, Token
from tests.zoo.cut import SCHEMES, cut, require

__all__ = ["SECRET_PIN", "ZooPkcs11", "opened"]

SECRET_PIN = PIN.encode()

_VARIABLE = "KEYCLAVE_ZOO_TOKEN"
"""Where a process keeps the directory of its token, for its children."""
_LABEL = "zoo"


class ZooPkcs11(Pkcs11Backend):
    """The PKCS#11 backend, with what every kind of key and signature needs one of.

    It is made as `Pkcs11Backend` and becomes one of these then: what a subclass adds to itself, it adds when asked.
    """

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return the description of the token, cut down."""
        return cut(super().describe())

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Create a key of an algorithm that is described."""
        require(request.algorithm in SCHEMES)
        return super().create_key(request)

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket for a key of an algorithm that is described."""
        require(request.algorithm in SCHEMES)
        return super().begin_import(request)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign with a scheme that is described."""
        require(scheme in SCHEMES[key.algorithm])
        return super().sign(key, data, scheme)


def opened(kind: type[ZooPkcs11], context: BackendContext) -> ZooPkcs11:
    """Open a backend of a class as the PKCS#11 plugin opens its own."""
    token = _token()
    os.environ.update(token.environment)  # again: other tests of this process have tokens of their own
    backend = open_pkcs11_backend(
        Pkcs11Settings(module=token.module, token=token.label, pin_file=token.pin_file), context
    )
    backend.__class__ = kind  # what is wrong with it are its hooks; everything below them is the plugin's own
    assert isinstance(backend, kind)
    return backend


@cache
def _token() -> Token:
    """Return the token of this process, or of the one that started it."""
    inherited = os.environ.get(_VARIABLE)
    if inherited is not None:
        module, label, pin_file, configuration = inherited.split(os.pathsep)
        return Token(Path(module), label, Path(pin_file), environment={"SOFTHSM2_CONF": configuration})
    directory = Path(tempfile.mkdtemp(prefix="keyclave-zoo-"))
    # Not `atexit`, which the processes of a pool leave out.
    Finalize(None, shutil.rmtree, (directory, True), exitpriority=0)
    token = make_tokens(directory, _LABEL)[_LABEL]
    configuration = token.environment["SOFTHSM2_CONF"]
    os.environ[_VARIABLE] = os.pathsep.join((str(token.module), token.label, str(token.pin_file), configuration))
    return token
