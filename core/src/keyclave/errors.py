"""Every error that Keyclave raises.

    KeyclaveError
    ├── InvalidArgument            bad input, refused before anything was sent (also a ValueError)
    ├── ConfigurationError         the settings cannot be used
    ├── PluginError                a plugin cannot be used
    │   ├── PluginConflict         two distributions claim one name
    │   ├── PluginLoadError        its import, its hooks or its backend failed
    │   └── ContractMismatch       it was made for another version of Keyclave
    ├── BackendError               a backend did not do what was asked
    │   ├── BackendUnavailable     not reachable, or not loaded              retryable
    │   ├── Throttled              it asks for fewer calls                   retryable
    │   ├── DeadlineExceeded       no answer in time, and nothing changed    retryable
    │   ├── AccessDenied           the identity lacks a permission
    │   ├── AuthenticationFailed   PIN, passphrase or credential is wrong
    │   ├── CapabilityUnsupported  the backend cannot do this at all
    │   └── OutcomeUnknown         the change may or may not have happened
    ├── KeyStateError              the key is not in a state that allows this
    │   ├── KeyNotFound
    │   ├── KeyAlreadyExists
    │   ├── KeyDisabled
    │   └── Conflict               somebody else is changing it              retryable
    ├── InvalidSignature           the signature is wrong
    ├── VerificationError          the signature could not be checked
    ├── DecryptionFailed           the ciphertext, its key or its associated data is wrong
    ├── IntegrityError             stored data is not what was written
    ├── PolicyViolation            the policy forbids it
    ├── StateUnavailable           the state's database failed               retryable
    └── AuditUnavailable           no durable audit record, so no result     retryable

An error says what happened, on which backend and key, and what to do next. Its text is made from
identifiers only: never from key material, a PIN, a passphrase, a token or a caller's data.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

__all__ = [
    "AccessDenied",
    "AuditUnavailable",
    "AuthenticationFailed",
    "BackendError",
    "BackendUnavailable",
    "CapabilityUnsupported",
    "ConfigurationError",
    "Conflict",
    "ContractMismatch",
    "DeadlineExceeded",
    "DecryptionFailed",
    "IntegrityError",
    "InvalidArgument",
    "InvalidSignature",
    "KeyAlreadyExists",
    "KeyDisabled",
    "KeyNotFound",
    "KeyStateError",
    "KeyclaveError",
    "OutcomeUnknown",
    "PluginConflict",
    "PluginError",
    "PluginLoadError",
    "PolicyViolation",
    "StateUnavailable",
    "Throttled",
    "VerificationError",
]


class KeyclaveError(Exception):
    """Base of every error that Keyclave raises.

    Attributes:
        message: what happened, in one sentence without the context below.
        operation: the operation that failed, such as ``sign``; ``None`` if it is not known.
        backend_id: the configured backend instance concerned; ``None`` if it is not known.
        key_name: the key concerned; ``None`` if it is not known.
        retryable: whether the same call may succeed later without anybody changing anything.
        next_step: what to do next, in one sentence.
        provider_reference: the provider's own reference to the call that failed, such as a request id; ``None`` if
            there is none.
    """

    default_retryable: ClassVar[bool] = False
    default_next_step: ClassVar[str] = "Run `keyclave doctor` to see what is wrong."

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        backend_id: str | None = None,
        key_name: str | None = None,
        next_step: str | None = None,
        retryable: bool | None = None,
        provider_reference: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.backend_id = backend_id
        self.key_name = key_name
        self.next_step = self.default_next_step if next_step is None else next_step
        self.retryable = self.default_retryable if retryable is None else retryable
        self.provider_reference = provider_reference
        self.add_note(f"Next: {self.next_step}")  # a traceback shows it as well

    def __str__(self) -> str:
        context = [
            f"{label} {value!r}"
            for label, value in (("backend", self.backend_id), ("key", self.key_name))
            if value is not None
        ]
        where = " ".join(filter(None, [self.operation, *context]))
        return f"{where}: {self.message}" if where else self.message

    def at(self, *, operation: str | None = None, backend_id: str | None = None, key_name: str | None = None) -> Self:
        """Fill in the context that is not known yet, and return the same error.

        A plugin raises with what it knows; the core adds the operation, the backend and the key.
        """
        self.operation = self.operation or operation
        self.backend_id = self.backend_id or backend_id
        self.key_name = self.key_name or key_name
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(cls: type[KeyclaveError], message: str, attributes: dict[str, Any]) -> KeyclaveError:
    error = cls(message)
    error.__dict__.update(attributes)
    return error


class InvalidArgument(KeyclaveError, ValueError):
    """An argument is wrong. Nothing was sent to a backend and nothing changed."""

    default_next_step = "Correct the argument that the message names."


class ConfigurationError(KeyclaveError):
    """The settings cannot be used."""

    default_next_step = "Correct the setting that the message names; `keyclave doctor` shows the file in use."


class PluginError(KeyclaveError):
    """A plugin cannot be used."""

    default_next_step = (
        "Install or repair the plugin, or correct its name in the settings; `keyclave doctor` shows every plugin."
    )


class PluginConflict(PluginError):
    """Two distributions offer a plugin of one name, or a foreign one offers a first-party name."""

    default_next_step = "Uninstall one of the distributions, or name the right one in [plugins.pin]."


class PluginLoadError(PluginError):
    """A plugin's import, its hooks or its backend failed."""


class ContractMismatch(PluginError):
    """A plugin was made for another version of Keyclave, or of its plugin contract."""

    default_next_step = "Upgrade whichever of the two was made for the earlier version: the plugin, or keyclave."


class BackendError(KeyclaveError):
    """A backend did not do what was asked."""


class BackendUnavailable(BackendError):
    """The backend cannot be reached, or its plugin is not loaded. Nothing changed."""

    default_retryable = True
    default_next_step = "Run `keyclave backends list` to see the state of the backend."


class Throttled(BackendError):
    """The backend asks for fewer calls. Nothing changed.

    Attributes:
        retry_after: seconds that the backend asks the caller to wait; ``None`` if it did not say.
    """

    default_retryable = True
    default_next_step = "Wait for retry_after seconds, then repeat the call."

    def __init__(self, message: str, *, retry_after: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class DeadlineExceeded(BackendError):
    """The backend did not answer in time, and the call could not have changed anything."""

    default_retryable = True
    default_next_step = "Repeat the call; if it happens again, check the backend with `keyclave doctor`."


class AccessDenied(BackendError):
    """The identity that Keyclave uses lacks a permission on the backend."""

    default_next_step = "Grant the permission that the message names to the identity of this process."


class AuthenticationFailed(BackendError):
    """The backend refused the PIN, passphrase or credential. It was tried once and is not tried again.

    Attributes:
        attempts_left: how many wrong tries remain before the backend locks; ``None`` if it did not say.
    """

    default_next_step = "Correct the credential in the backend's settings before the next start."

    def __init__(self, message: str, *, attempts_left: int | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.attempts_left = attempts_left


class CapabilityUnsupported(BackendError):
    """The backend cannot do this. Nothing was sent."""

    default_next_step = "Use a backend that can: `keyclave backends show ID` says which new keys one takes."


class OutcomeUnknown(BackendError):
    """The backend did not answer after a change was sent: it may or may not have happened."""

    default_next_step = "Run `keyclave recover`: it looks for what the call made and finishes or undoes it."


class KeyStateError(KeyclaveError):
    """The key is not in a state that allows the operation."""


class KeyNotFound(KeyStateError):
    """No such key, or no such version of it."""

    default_next_step = "Run `keyclave keys list` to see the keys of this instance."


class KeyAlreadyExists(KeyStateError):
    """A key of that name exists. It was not touched."""

    default_next_step = "Choose another name, or rotate the key if you want a new version of it."


class KeyDisabled(KeyStateError):
    """The key version is revoked, destroyed or disabled and must not be used for this."""

    default_next_step = (
        "Run `keyclave keys show NAME` to see the status of each version; create another key for one that is revoked."
    )


class Conflict(KeyStateError):
    """Somebody else is changing the same key or database. Nothing changed."""

    default_retryable = True
    default_next_step = "Look at the key again, then repeat the call if it is still wanted."


class InvalidSignature(KeyclaveError):
    """The signature is wrong: it was not made over this data by this key."""

    default_next_step = "Do not trust the data. Check that data, signature and key belong together."


class VerificationError(KeyclaveError):
    """The signature could not be checked, so nothing is known about it."""

    default_next_step = "Check the scheme and the encoding of the signature and of the public key."


class DecryptionFailed(KeyclaveError):
    """The ciphertext was changed, or belongs to another key or other associated data.

    One error for every cause, so that an attacker who can send ciphertexts learns nothing from it.
    """

    default_next_step = "Check that ciphertext, key and associated data belong together."


class IntegrityError(KeyclaveError):
    """Stored data is not what Keyclave wrote. It was not used."""

    default_next_step = "Restore the state from a backup, and find out who changed it."


class PolicyViolation(KeyclaveError):
    """The policy of the environment or of the key forbids the operation."""

    default_next_step = "Change what you ask for, or let the owner of the policy change it."


class StateUnavailable(KeyclaveError):
    """The database that keeps the state failed. A change that was being committed may or may not be durable."""

    default_retryable = True
    default_next_step = "Check the disk or database behind [state] url, then look before you repeat the call."


class AuditUnavailable(KeyclaveError):
    """The audit record could not be made durable, so the result was dropped."""

    default_retryable = True
    default_next_step = "Check the disk or database behind [state] url, then repeat the call."
