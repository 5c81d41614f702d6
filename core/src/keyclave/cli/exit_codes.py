"""What the exit code of ``keyclave`` says, and which error gives which code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from keyclave import errors

__all__ = ["CODES", "MEANINGS", "ExitCode", "exit_code_of"]


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY = 3
    BACKEND = 4
    SIGNATURE = 5
    POLICY = 6
    INTEGRITY = 7
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.DONE: "done",
        ExitCode.FAILED: "failed for another reason, or the outcome is not known",
        ExitCode.USAGE: "wrong usage or configuration; nothing was done",
        ExitCode.KEY: "the key does not exist, exists already, or is in the wrong state",
        ExitCode.BACKEND: "the backend is unavailable; nothing was changed",
        ExitCode.SIGNATURE: "the signature or the ciphertext is wrong",
        ExitCode.POLICY: "refused by policy or by a missing permission",
        ExitCode.INTEGRITY: "stored data was changed, or the operation could not be audited",
        ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
        ExitCode.TERMINATED: "terminated (SIGTERM)",
    }
)

CODES: Mapping[type[errors.KeyclaveError], ExitCode] = MappingProxyType(
    {
        errors.KeyclaveError: ExitCode.FAILED,
        errors.InvalidArgument: ExitCode.USAGE,
        errors.ConfigurationError: ExitCode.USAGE,
        errors.PluginError: ExitCode.BACKEND,
        errors.PluginConflict: ExitCode.BACKEND,
        errors.PluginLoadError: ExitCode.BACKEND,
        errors.ContractMismatch: ExitCode.BACKEND,
        errors.BackendError: ExitCode.FAILED,
        errors.BackendUnavailable: ExitCode.BACKEND,
        errors.Throttled: ExitCode.BACKEND,
        errors.DeadlineExceeded: ExitCode.BACKEND,
        errors.AccessDenied: ExitCode.POLICY,
        # The credential is a setting. A script that repeats on code 4 must not repeat a wrong PIN.
        errors.AuthenticationFailed: ExitCode.USAGE,
        errors.CapabilityUnsupported: ExitCode.FAILED,
        # Not code 4 either: something may have changed.
        errors.OutcomeUnknown: ExitCode.FAILED,
        errors.KeyStateError: ExitCode.KEY,
        errors.KeyNotFound: ExitCode.KEY,
        errors.KeyAlreadyExists: ExitCode.KEY,
        errors.KeyDisabled: ExitCode.KEY,
        errors.Conflict: ExitCode.KEY,
        errors.InvalidSignature: ExitCode.SIGNATURE,
        # Nothing is known about the signature, so it is not called wrong.
        errors.VerificationError: ExitCode.FAILED,
        errors.DecryptionFailed: ExitCode.SIGNATURE,
        errors.IntegrityError: ExitCode.INTEGRITY,
        errors.PolicyViolation: ExitCode.POLICY,
        errors.StateUnavailable: ExitCode.FAILED,
        errors.AuditUnavailable: ExitCode.INTEGRITY,
    }
)
"""The code of each error; a class that is not here has the code of the nearest class it is derived from."""


def exit_code_of(error: errors.KeyclaveError) -> ExitCode:
    """Return the exit code for an error.

    >>> exit_code_of(errors.KeyNotFound("no such key")).value
    3
    """
    return next(CODES[cls] for cls in type(error).__mro__ if cls in CODES)
