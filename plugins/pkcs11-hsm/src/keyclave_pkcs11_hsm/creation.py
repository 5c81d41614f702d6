"""Make a key in the token: idempotent by label, and never half of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from keyclave.errors import BackendUnavailable, KeyAlreadyExists, KeyclaveError, KeyNotFound, OutcomeUnknown
from keyclave.models import AlgorithmFamily, KeyAlgorithm, get_algorithm
from keyclave.plugin import CreateKeyRequest, ImportKeyRequest, KeyLabel
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.destruction import remove_objects
from keyclave_pkcs11_hsm.errors import is_lost, is_refused
from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.mechanisms import GENERATION
from keyclave_pkcs11_hsm.objects import FoundKey, find_key
from keyclave_pkcs11_hsm.places import Place, place_of
from keyclave_pkcs11_hsm.public_keys import EC_PARAMETERS, ED25519_PARAMETERS
from keyclave_pkcs11_hsm.sessions import Session, SessionPool
from keyclave_pkcs11_hsm.softhsm_objects import fails_at_random, undisturbed
from keyclave_pkcs11_hsm.templates import KEY_TYPES, Template, private_template, public_template, secret_template

__all__ = ["Creation", "require_same"]


_RANDOM_FAILURES = 2  # in a row; more of them are a failure


class Creation:
    """Makes keys, one at a time over all threads and processes of this backend."""

    def __init__(self, pool: SessionPool, lock: TokenLock) -> None:
        self._pool = pool
        self._lock = lock

    def create(self, request: CreateKeyRequest) -> FoundKey:
        """Return the key of a label, made now unless it is there.

        Raises:
            KeyAlreadyExists: it is there, and is not what is asked for.
            IntegrityError: the token made something else than was asked for, which was removed.
            OutcomeUnknown: the token did not answer, and what it made could not be looked for.
        """
        generated, place = False, place_of(request.label)

        def work(session: Session) -> FoundKey:
            nonlocal generated
            with suppress(KeyNotFound):
                return require_same(find_key(session.raw, place), request)
            remove_objects(session.raw, place)  # half a key, of a process that was killed
            generated = True
            return self._generate(session.raw, request)

        with self._lock.held():
            try:
                return self._pool.run(work)
            except BackendUnavailable as error:
                failure: KeyclaveError = error
            if generated and not self._is_removed(request.label):
                failure = OutcomeUnknown("the token did not say whether it made the key")
            raise failure

    def _generate(self, session: RawSession, request: CreateKeyRequest) -> FoundKey:
        for _ in range(_RANDOM_FAILURES):
            try:
                return _generated(session, request)
            except PKCS11Error as error:
                if not fails_at_random(session, error):
                    raise
        return _generated(session, request)

    def _is_removed(self, label: KeyLabel) -> bool:
        try:
            self._pool.run(lambda session: remove_objects(session.raw, place_of(label)))
        except KeyclaveError:
            return False
        return True


def _generated(session: RawSession, request: CreateKeyRequest) -> FoundKey:
    """Make the key and look at it; leave nothing of one that is not whole."""
    place = place_of(request.label)
    try:
        with undisturbed(session):
            _generate(session, place, get_algorithm(request.algorithm), exportable=request.exportable)
        return require_same(find_key(session, place), request)
    except PKCS11Error as error:
        if not (is_lost(error) or is_refused(error)):
            remove_objects(session, place)
        raise
    except KeyclaveError:
        remove_objects(session, place)
        raise


def require_same(found: FoundKey, request: CreateKeyRequest | ImportKeyRequest) -> FoundKey:
    """Return the key; refuse one that is not what a request asks for."""
    if found.exportable is not request.exportable:
        raise KeyAlreadyExists("a key of this label exists, and differs in whether it is exportable")
    if found.algorithm != request.algorithm:
        raise KeyAlreadyExists(f"a key of this label exists, of algorithm {found.algorithm}")
    return found


def _generate(session: RawSession, place: Place, algorithm: KeyAlgorithm, *, exportable: bool) -> None:
    kind = KEY_TYPES[algorithm.family]
    common: dict[str, Any] = {"store": True, "mechanism": GENERATION[algorithm.family]}
    if algorithm.family is AlgorithmFamily.AES:
        template = secret_template(place, exportable=exportable)
        capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
        session.generate_key(kind, algorithm.key_size, capabilities=capabilities, template=template, **common)
        return
    length = algorithm.key_size if algorithm.family is AlgorithmFamily.RSA else None
    session.generate_keypair(
        kind,
        length,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template=public_template(place) | _parameters(algorithm),
        private_template=private_template(place, exportable=exportable),
        **common,
    )


def _parameters(algorithm: KeyAlgorithm) -> Template:
    match algorithm.family:
        case AlgorithmFamily.EC:
            return {Attribute.EC_PARAMS: EC_PARAMETERS[algorithm.key_size]}
        case AlgorithmFamily.ED25519:
            return {Attribute.EC_PARAMS: ED25519_PARAMETERS}
        case _:
            return {}
