"""By which methods a token releases keys and takes them: tried with keys of the session when it is opened.

`KeyWrapping` and `make_wrapping_key` look closer once a key is to move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.crypto.wrapping import METHODS
from keyclave.models import AlgorithmFamily, KeyAlgorithm
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.key_wrapping import find_aes_kwp, passing, wrap_at_once, wrapping_template
from keyclave_pkcs11_hsm.mechanisms import GENERATION, Mechanisms
from keyclave_pkcs11_hsm.public_keys import ED25519_PARAMETERS, to_spki
from keyclave_pkcs11_hsm.wrapping_parameters import RSA_AES_KEY_WRAP, oaep_parameters

__all__ = ["WrappingMethods"]

# Nobody knows the private half. What is wrapped under it is a key that the token just made, and is thrown away.
_TRIAL_SPKI = to_spki(rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key())
_PASSING = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True}


class WrappingMethods:
    """What one token shows.

    Args:
        session: a session of it.
        mechanisms: what it lists.
        read_only: whether the settings let it take no keys.
    """

    def __init__(self, session: RawSession, mechanisms: Mechanisms, *, read_only: bool) -> None:
        self._session = session
        self._read_only = read_only
        self._aes_kwp = find_aes_kwp(session)
        self._at_once = mechanisms.offers(RSA_AES_KEY_WRAP, MechanismFlag.WRAP)
        self._methods = tuple(filter(self._wraps_by, METHODS))

    def wrapping(self, algorithm: KeyAlgorithm) -> tuple[str, ...]:
        """Return by which methods the token releases exportable keys of an algorithm, the preferred first."""
        if algorithm.family is AlgorithmFamily.ED25519 and not self._releases_ed25519():
            return ()
        return self._methods

    def importing(self, algorithm: KeyAlgorithm) -> tuple[str, ...]:
        """Return by which methods it takes keys of an algorithm, the preferred first."""
        if self._read_only:
            return ()
        # Ed25519 keys are unwrapped in this process, and then made in the token: see `ed25519_import`.
        return METHODS if algorithm.family is AlgorithmFamily.ED25519 else self._methods

    def _wraps_by(self, method: str) -> bool:
        if self._at_once and self._wraps(lambda key, made: wrap_at_once(key, made, method)):
            return True
        return self._aes_kwp is not None and self._wraps(lambda key, made: _wrap_by_oaep(key, made, method))

    def _wraps(self, wrap: Callable[[Any, Any], bytes]) -> bool:
        def trial() -> bool:
            made = self._session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.ENCRYPT, template=_PASSING)
            wrapping_key = wrapping_template(_TRIAL_SPKI)
            with passing(made), passing(self._session.create_object(wrapping_key)) as key:
                return bool(wrap(key, made))

        return _succeeds(trial)

    def _releases_ed25519(self) -> bool:
        def trial() -> bool:
            kek: Any = self._session.generate_key(
                KeyType.AES, 256, capabilities=MechanismFlag.WRAP, template=_PASSING
            )
            with passing(kek):
                public, private = self._session.generate_keypair(
                    KeyType.EC_EDWARDS,
                    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                    mechanism=GENERATION[AlgorithmFamily.ED25519],
                    public_template={Attribute.EC_PARAMS: ED25519_PARAMETERS},
                    private_template=_PASSING,
                )
                with passing(public), passing(private):
                    return bool(kek.wrap_key(private, mechanism=self._aes_kwp))

        return self._aes_kwp is not None and _succeeds(trial)


def _wrap_by_oaep(wrapping_key: Any, key: Any, method: str) -> bytes:
    wrapped: bytes = wrapping_key.wrap_key(
        key, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=oaep_parameters(method)
    )
    return wrapped


def _succeeds(trial: Callable[[], bool]) -> bool:
    try:
        return trial()
    except PKCS11Error as error:
        if is_lost(error):
            raise
        return False
