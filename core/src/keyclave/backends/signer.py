"""Bind a key to a function that signs, so that each signature costs little more than the plugin's own call.

What is the same for every signature of a key is decided here, once: how data becomes what the backend signs, and
what happens to its signature before it is released.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from time import monotonic

from keyclave.backends.calls import HookCalls
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.failures import type_name
from keyclave.backends.inputs import to_bytes
from keyclave.backends.release import Finish, Release, is_trusted
from keyclave.backends.results import unwrap
from keyclave.backends.retrying import Retries
from keyclave.errors import CapabilityUnsupported, IntegrityError, InvalidArgument, KeyclaveError
from keyclave.models import SignatureScheme, get_signature_scheme
from keyclave.plugin.records import BackendDescription, KeyReference, Location, SchemeSupport, Signed, SigningInput

__all__ = ["SignerBinder"]

Prepare = Callable[[bytes], bytes]


class SignerBinder:
    """Binds keys of one backend."""

    def __init__(self, calls: HookCalls, description: BackendDescription, crypto: CryptoFunctions) -> None:
        self._calls = calls
        self._description = description
        self._crypto = crypto
        self._verifies = not is_trusted(description)

    def bind(
        self, key: KeyReference, spki: bytes | None, scheme_name: str, *, prehashed: bool
    ) -> Callable[[bytes], Signed]:
        """Return a function that signs; see `keyclave.backends.backend.Backend.bind_signer`."""
        function = self._calls.function("sign")
        scheme = get_signature_scheme(scheme_name)
        support = self._support(key.algorithm, scheme.name)
        prepare = self._prepare(scheme, support, prehashed=prehashed)
        finish = self._finish(key, support, spki)
        call = self._call(function, deepcopy(key), scheme.name)
        return call if prepare is None and finish is None else _wrapped(call, prepare, finish)

    def _call(self, function: Callable[..., object], key: KeyReference, scheme: str) -> Callable[[bytes], Signed]:
        """Return the call of the hook, from where the backend computes."""
        if self._description.location is Location.IN_PROCESS:
            return _guarded(self._calls, function, key, scheme)
        within = partial(self._calls.in_worker, "sign", function)
        call = _guarded(self._calls, within, key, scheme)
        retries = self._calls.retries
        if retries is not None:
            call = _repeated(
                self._calls,
                retries,
                call,
                lambda seconds: _guarded(self._calls, partial(within, seconds=seconds), key, scheme),
            )
        return _unless_refused(self._calls, call)

    def _support(self, algorithm: str, scheme: str) -> SchemeSupport:
        for offered in self._description.algorithms:
            for support in offered.schemes:
                if offered.algorithm == algorithm and support.scheme == scheme:
                    return support
        raise self._unsupported(f"the backend does not sign with {scheme} and keys of {algorithm}")

    def _prepare(self, scheme: SignatureScheme, support: SchemeSupport, *, prehashed: bool) -> Prepare | None:
        """Return how data becomes what the backend signs; ``None`` if it is that already."""
        if support.input is SigningInput.DIGEST:
            return partial(_require_length, scheme) if prehashed else self._crypto.bind_digest(scheme.name)
        if prehashed:
            raise self._unsupported(f"the backend hashes the message itself for {scheme.name}")
        if support.max_input is None and support.min_input == 0:
            return None
        return partial(_require_size, support)

    def _finish(self, key: KeyReference, support: SchemeSupport, spki: bytes | None) -> Finish | None:
        """Return what happens to a signature before it is released; ``None`` for nothing."""
        if self._verifies and spki is None:
            raise IntegrityError(
                "no public key is stored to verify signatures with",
                operation="sign",
                backend_id=self._calls.backend_id,
            )
        release = Release.of(self._calls.backend_id, self._crypto, key, support, spki if self._verifies else None)
        return None if release.to_der is None and release.verify is None else release.finish

    def _unsupported(self, message: str) -> CapabilityUnsupported:
        return CapabilityUnsupported(message, operation="sign", backend_id=self._calls.backend_id)


def _guarded(
    calls: HookCalls, function: Callable[..., object], key: KeyReference, scheme: str
) -> Callable[[bytes], Signed]:
    """Return the call of the hook: its input bytes, its errors Keyclave's, its result a whole `Signed`."""
    faults, breaker = calls.faults, calls.breaker

    def sign(data: bytes) -> Signed:
        if type(data) is not bytes:
            data = to_bytes(data)
        if faults:
            raise calls.unavailable("sign")
        try:
            signed = function(key, data, scheme)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a plugin lets escape
            failure: KeyclaveError = calls.translate("sign", error)
        else:
            # `answered`, written out: a call would cost as much as all of this.
            if (
                type(signed) is Signed
                and type(signed.signature) is bytes
                and (signed.provider_reference is None or type(signed.provider_reference) is str)
            ):
                breaker.answered = True
                return signed
            failure = calls.fault("sign", f"it returned {type_name(signed)} where a whole Signed is due")
        breaker.note(failure)
        raise failure

    return sign


def _unless_refused(calls: HookCalls, call: Callable[[bytes], Signed]) -> Callable[[bytes], Signed]:
    """Return the call, which is not made while the circuit is open."""

    def admitted(data: bytes) -> Signed:
        refused = calls.refusal("sign")
        if refused is not None:
            raise refused
        return call(data)

    return admitted


def _repeated(
    calls: HookCalls,
    retries: Retries,
    call: Callable[[bytes], Signed],
    within: Callable[[float], Callable[[bytes], Signed]],
) -> Callable[[bytes], Signed]:
    """Return the call, repeated where the service did not carry it out.

    Args:
        calls: the hooks of the backend.
        retries: repeats it.
        call: the call.
        within: takes seconds; returns the call with no more time than that.
    """

    def repeated(data: bytes) -> Signed:
        deadline = monotonic() + calls.limits.of("sign")
        outcome = _outcome(call, data)
        if isinstance(outcome, KeyclaveError):
            outcome = retries.settle(outcome, lambda seconds: _outcome(within(seconds), data), deadline)
        return unwrap(outcome)

    return repeated


def _outcome(call: Callable[[bytes], Signed], data: bytes) -> Signed | KeyclaveError:
    try:
        return call(data)
    except KeyclaveError as error:
        return error


def _wrapped(
    call: Callable[[bytes], Signed], prepare: Prepare | None, finish: Finish | None
) -> Callable[[bytes], Signed]:
    """Return the call with what comes before it and after it."""
    if prepare is None:
        prepare = to_bytes

    def prepared(data: bytes) -> Signed:
        return call(prepare(data if type(data) is bytes else to_bytes(data)))

    def finished(data: bytes) -> Signed:
        data = prepare(data if type(data) is bytes else to_bytes(data))
        return finish(data, call(data))  # type: ignore[misc]  # used only where it is not None

    return prepared if finish is None else finished


def _require_length(scheme: SignatureScheme, digest: bytes) -> bytes:
    if len(digest) != scheme.digest_size:
        raise InvalidArgument(f"a digest for {scheme.name} has {scheme.digest_size} bytes, not {len(digest)}")
    return digest


def _require_size(support: SchemeSupport, data: bytes) -> bytes:
    if support.max_input is not None and len(data) > support.max_input:
        raise InvalidArgument(f"the backend signs at most {support.max_input} bytes, not {len(data)}")
    if len(data) < support.min_input:
        raise InvalidArgument(f"the backend signs at least {support.min_input} bytes, not {len(data)}")
    return data
