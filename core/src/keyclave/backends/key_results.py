"""Check what a backend says about keys against what it was asked: the right key, whole, and of this instance."""

from __future__ import annotations

from collections.abc import Callable

from keyclave.errors import IntegrityError, KeyclaveError
from keyclave.models import SecurityLevel, get_algorithm, is_provider_uri
from keyclave.plugin.records import (
    AdoptKeyRequest,
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    ForeignKey,
    ImportKeyRequest,
    KeyLabel,
    KeyReference,
)

__all__ = ["KeyResults"]


class KeyResults:
    """The checks for one backend.

    Every method raises ``IntegrityError`` for an answer that does not fit the question.
    """

    def __init__(
        self,
        context: BackendContext,
        description: BackendDescription,
        check_public_key: Callable[[bytes, str], object],
    ) -> None:
        self._backend_id = context.backend_id
        self._instance_id = context.instance_id
        self._provider_type = description.provider_type
        self._level = description.security_level
        self._algorithms = frozenset(support.algorithm for support in description.algorithms)
        self._check_public_key = check_public_key

    def created(self, hook: str, request: CreateKeyRequest | ImportKeyRequest, made: CreatedKey) -> CreatedKey:
        """Check a key version that was made or imported."""
        self._kept(hook, request, made)
        if made.exportable is not request.exportable:
            raise self.wrong(hook, f"it made a key that is {'' if made.exportable else 'not '}exportable")
        return made

    def adopted(self, request: AdoptKeyRequest, made: CreatedKey) -> CreatedKey:
        """Check a key version that was adopted. Whether it is exportable is as it was."""
        self._kept("adopt_key", request, made)
        if made.reference.uri != request.uri:
            raise self.wrong("adopt_key", "it adopted a key of another address")
        return made

    def _kept(
        self, hook: str, request: CreateKeyRequest | ImportKeyRequest | AdoptKeyRequest, made: CreatedKey
    ) -> None:
        """Check what holds for every key version that the backend keeps under a label from now on."""
        self.reference(hook, request.label, made.reference)
        if made.reference.algorithm != request.algorithm:
            raise self.wrong(hook, f"it made a key of algorithm {made.reference.algorithm!r}")
        if made.hsm_backed and (self._level is not SecurityLevel.HSM or not made.evidence):
            raise self.wrong(hook, "it made a key that it says is in an HSM, which nothing shows (FR-003)")
        if (made.public_key is not None) is not get_algorithm(request.algorithm).signs:
            raise self.wrong(hook, "it made a key pair without a public key, or a secret key with one")
        if made.public_key is not None:
            self.public_key(hook, made.public_key, request.algorithm)

    def reference(self, hook: str, label: KeyLabel, reference: KeyReference) -> KeyReference:
        """Check that a reference is the one asked for."""
        if reference.label != label:
            raise self.wrong(hook, "it answered with the label of another key")
        if not is_provider_uri(reference.uri, self._provider_type):
            raise self.wrong(hook, "it answered with a key whose address does not have the form of its backend")
        return reference

    def listed(self, reference: KeyReference) -> KeyReference:
        """Check that a listed key belongs to this Keyclave instance."""
        if reference.label.instance_id != self._instance_id:
            raise self.wrong("list_keys", "it listed a key of another Keyclave instance")
        return reference

    def foreign(self, key: ForeignKey) -> ForeignKey:
        """Check a key that could be adopted. Its public key is checked when it is adopted."""
        if not is_provider_uri(key.uri, self._provider_type):
            problem = "it listed a key whose address does not have the form of its backend"
        elif key.algorithm not in self._algorithms:
            problem = "it listed a key of an algorithm that it does not describe"
        else:
            return key
        raise self.wrong("list_foreign_keys", problem)

    def public_key(self, hook: str, spki: bytes, algorithm: str) -> bytes:
        """Check that a public key is a good one of its algorithm."""
        try:
            self._check_public_key(spki, algorithm)
        except KeyclaveError as error:
            problem = error.message
        else:
            return spki
        raise self.wrong(hook, f"it answered with a bad public key: {problem}")

    def wrong(self, hook: str, problem: str) -> IntegrityError:
        """Return the error for an answer that does not fit."""
        return IntegrityError(
            problem,
            operation=hook,
            backend_id=self._backend_id,
            next_step="Do not use the backend until you know why; its contract tests may show it.",
        )
