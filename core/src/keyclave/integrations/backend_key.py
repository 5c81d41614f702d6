"""What private keys of all families share: a public key, a way to sign, and no way out of the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyclaveError
from keyclave.models.algorithms import KeyAlgorithm

__all__ = ["BackendKey", "Sign", "wanted_hash"]

Sign: TypeAlias = Callable[[bytes, str, bool], bytes]
"""Takes data, the name of a scheme, and whether the data is a digest; returns the signature.

It refuses with ``InvalidArgument`` a scheme that the key does not have, and data that are not bytes.
"""


class BackendKey:
    """A private key that stays in its backend."""

    def __init__(self, public_key: Any, algorithm: KeyAlgorithm, sign: Sign, name: str | None) -> None:
        self._public_key = public_key
        self._algorithm = algorithm
        self._sign = sign
        self._name = name

    def public_key(self) -> Any:
        """Return the public key, an object of `cryptography`."""
        return self._public_key

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the key does not leave its backend."""
        raise self._stays("it cannot be serialised")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise self._stays("its object cannot be pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>" if self._name else f"<{type(self).__name__}>"

    def _run(self, data: Any, scheme: str, *, prehashed: bool = False) -> bytes:
        """Sign with a scheme; an error names the key, since it surfaces in other people's code."""
        try:
            return self._sign(data, scheme, prehashed)
        except KeyclaveError as error:
            error.at(operation="sign", key_name=self._name)
            raise

    def _run_hashed(self, data: Any, kind: str, algorithm: Any) -> bytes:
        """Sign with the scheme of a kind, such as ``RSA_PSS``, and of the hash that the caller asks for."""
        hash_algorithm = wanted_hash(algorithm)
        if hash_algorithm is None:
            raise self._refused(type(algorithm).__name__, "a hash, or Prehashed of one,")
        scheme = f"{kind}_{hash_algorithm.name.upper()}"
        return self._run(data, scheme, prehashed=isinstance(algorithm, Prehashed))

    def _stays(self, therefore: str) -> CapabilityUnsupported:
        return CapabilityUnsupported(
            f"the private key does not leave its backend: {therefore}",
            key_name=self._name,
            next_step="Use sign() and public_key(); everything else needs a key of another kind.",
        )

    def _refused(self, what: str, instead: str) -> InvalidArgument:
        return InvalidArgument(
            f"a key of algorithm {self._algorithm.name} cannot sign with {what}; {instead} works",
            operation="sign",
            key_name=self._name,
            next_step="Use what the message names.",
        )


def wanted_hash(algorithm: object) -> hashes.HashAlgorithm | None:
    """Return the hash that a caller asks for, alone or in ``Prehashed``; ``None`` if it is none."""
    if isinstance(algorithm, Prehashed):
        return algorithm._algorithm  # noqa: SLF001  the library shows it nowhere else
    return algorithm if isinstance(algorithm, hashes.HashAlgorithm) else None
