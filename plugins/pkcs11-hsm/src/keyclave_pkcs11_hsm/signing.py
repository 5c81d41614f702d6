"""Sign with keys in the token: what was seen of a key through a session is kept with the session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from keyclave.errors import CapabilityUnsupported
from keyclave.models import get_algorithm
from keyclave.plugin import KeyLabel, KeyReference
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.errors import is_lost, is_stale, translate
from keyclave_pkcs11_hsm.mechanisms import SigningMechanism
from keyclave_pkcs11_hsm.objects import find_referenced
from keyclave_pkcs11_hsm.sessions import Session, SessionPool

__all__ = ["Signing"]

Sign = Callable[[bytes], bytes]
_SIGNATURE_BYTES = 512  # the longest one: RSA with 4096 bits


class Signing:
    """Signs.

    Args:
        pool: the sessions.
        ways: how the token signs, by algorithm and scheme.
        adoptions: the keys that were made elsewhere.
    """

    def __init__(
        self, pool: SessionPool, ways: Mapping[str, Mapping[str, SigningMechanism]], adoptions: Adoptions
    ) -> None:
        self._pool = pool
        self._adoptions = adoptions
        self._ways = ways

    def sign(self, key: KeyReference, data: bytes, scheme: str) -> bytes:
        """Return a signature of a digest, or a message where the token hashes: ECDSA as P1363, others raw.

        Raises:
            KeyNotFound: the key does not exist.
            IntegrityError: another key is in its place, or it is not as it was made.
            CapabilityUnsupported: the token does not sign so with this key.
            KeyclaveError: what the token answered; see `keyclave_pkcs11_hsm.errors`.
        """
        pool = self._pool
        session = pool.take()
        signers = session.signers.get(key)
        if signers is None or scheme not in signers:
            pool.give(session)
            return self._sign_anew(key, data, scheme)
        try:
            signature: bytes = signers[scheme](data)
        except PKCS11Error as error:
            pool.failed(session, error)
            failure = None if is_lost(error) or is_stale(error) else translate(error)
        except BaseException:
            pool.drop(session)
            raise
        else:
            if pool.give(session):
                return signature
            failure = None
        if failure is not None:
            raise failure
        return self._sign_anew(key, data, scheme)

    def _sign_anew(self, key: KeyReference, data: bytes, scheme: str) -> bytes:
        """Look for the key, compare it with what is known of it, and sign."""

        def work(session: Session) -> bytes:
            signers = self._signers(session, key)
            if scheme not in signers:
                raise CapabilityUnsupported(f"the token does not sign with {scheme} and keys of {key.algorithm}")
            return signers[scheme](data)

        return self._pool.run(work)

    def _signers(self, session: Session, key: KeyReference) -> dict[str, Sign]:
        known: dict[str, Sign] | None = session.signers.get(key)
        if known is None:
            found = find_referenced(session.raw, key, self._adoptions.place(key.label))
            ways = self._ways.get(found.algorithm, {}) if get_algorithm(found.algorithm).signs else {}
            signers = {scheme: _bind(found.usable, way) for scheme, way in ways.items()}
            if found.place.adopted:
                signers = {scheme: self._while_adopted(key.label, sign) for scheme, sign in signers.items()}
            known = session.signers.keep(key, signers)
        return known

    def _while_adopted(self, label: KeyLabel, sign: Sign) -> Sign:
        """Return a function that signs as long as the key is an adopted one: the token would sign after that, too."""

        def sign_adopted(data: bytes) -> bytes:
            self._adoptions.require(label)
            return sign(data)

        return sign_adopted


def _bind(private_key: Any, way: SigningMechanism) -> Sign:
    sign = partial(
        private_key.sign, mechanism=way.mechanism, mechanism_param=way.parameters, buffer_size=_SIGNATURE_BYTES
    )
    prefix = way.prefix
    return (lambda digest: sign(prefix + digest)) if prefix else sign
