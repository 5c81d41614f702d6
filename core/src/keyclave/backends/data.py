"""Encrypt, decrypt and authenticate data with a backend. A plaintext may be a key, and never stays in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from keyclave.backends.calls import HookCalls
from keyclave.backends.inputs import to_bytes
from keyclave.backends.results import answered, unwrap
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyclaveError
from keyclave.plugin.records import (
    BackendDescription,
    Decrypted,
    Encrypted,
    KeyReference,
    Location,
    Mac,
)

__all__ = ["DataCalls"]

T = TypeVar("T")


class DataCalls:
    """The hooks that work on data, called directly where the backend computes in this process."""

    def __init__(self, calls: HookCalls, description: BackendDescription) -> None:
        self._calls = calls
        self._in_worker = description.location is not Location.IN_PROCESS
        self._support = {support.algorithm: support for support in description.algorithms}

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted | KeyclaveError:
        """Return what `keyclave.backends.backend.Backend.encrypt` returns, or the error that it raises.

        So its caller can forget the plaintext before it raises.
        """
        try:
            function = self._calls.function("encrypt")
            content, bound = to_bytes(plaintext, "plaintext"), to_bytes(aad, "aad")
            self._require_room(key, len(content), bound=bool(bound))
        except KeyclaveError as error:
            return error.with_traceback(None).at(operation="encrypt", backend_id=self._calls.backend_id)
        return self._attempt("encrypt", Encrypted, "ciphertext", lambda: function(key, content, bound))

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """See `keyclave.backends.backend.Backend.decrypt`."""
        function = self._calls.function("decrypt")
        content, bound = to_bytes(ciphertext, "ciphertext"), to_bytes(aad, "aad")
        return unwrap(self._attempt("decrypt", Decrypted, "plaintext", lambda: function(key, content, bound)))

    def mac(self, key: KeyReference, data: bytes) -> Mac:
        """See `keyclave.backends.backend.Backend.mac`."""
        function = self._calls.function("mac")
        content = to_bytes(data)
        return unwrap(self._attempt("mac", Mac, "tag", lambda: function(key, content)))

    def _attempt(self, hook: str, due: type[T], field: str, work: Callable[[], object]) -> T | KeyclaveError:
        accept = partial(answered, due=due, field=field)
        return self._calls.attempt(hook, accept, work, in_worker=self._in_worker)

    def _require_room(self, key: KeyReference, size: int, *, bound: bool) -> None:
        support = self._support.get(key.algorithm)
        if support is None:
            raise CapabilityUnsupported(f"the backend has no {key.algorithm}")
        if bound and not support.binds_aad:
            raise CapabilityUnsupported("the backend cannot bind associated data")
        if support.max_plaintext is not None and size > support.max_plaintext:
            raise InvalidArgument(f"the backend encrypts at most {support.max_plaintext} bytes")
        if size < support.min_plaintext:
            raise InvalidArgument(f"the backend encrypts at least {support.min_plaintext} bytes, not {size}")
