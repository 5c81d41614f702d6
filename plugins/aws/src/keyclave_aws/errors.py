"""What AWS answers as an error of Keyclave, in one place.

The text of an answer is not passed on; its code and the id of the request are. Sources: the errors of each operation
in botocore's model of KMS (2014-11-01), and the errors common to all services of AWS.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore import exceptions as sdk
from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    DecryptionFailed,
    InvalidArgument,
    InvalidSignature,
    KeyAlreadyExists,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
    Throttled,
)

__all__ = ["FAILURES", "code_of", "is_expired", "reference_of", "translate"]


class _Answer(NamedTuple):
    kind: type[KeyclaveError]
    message: str
    retryable: bool | None = None
    next_step: str | None = None


_POLICY = "Grant it to the identity of this process; `keyclave doctor --policy aws` prints a policy with all of them."
_CREDENTIALS = "Check the source of the credentials, and the clock."
_AGAIN = "Repeat the call; https://health.aws.amazon.com shows whether the service has a problem."
_DENIED = _Answer(AccessDenied, "the identity of this process may not call {action}", next_step=_POLICY)
_REFUSED = _Answer(AuthenticationFailed, "AWS refused the credentials", next_step=_CREDENTIALS)
_EXPIRED = _Answer(
    AuthenticationFailed, "the credentials are expired, and new ones are as well", next_step=_CREDENTIALS
)
_SKEWED = _Answer(
    AuthenticationFailed, "AWS takes the request for too old or too new", next_step="Correct the clock."
)
_BUSY = _Answer(Throttled, "AWS asks for fewer calls")
_QUOTA = _Answer(
    BackendUnavailable,
    "a quota of the account is used up",
    retryable=False,
    next_step="Ask AWS for a higher quota, or use fewer keys, aliases or tags.",
)
_FAILED = _Answer(BackendUnavailable, "AWS KMS failed", next_step=_AGAIN)
_ABSENT = _Answer(KeyNotFound, "AWS KMS has no such key")
_DISABLED = _Answer(KeyDisabled, "the key is disabled in AWS KMS")
_STATE = _Answer(Conflict, "the state of the key does not allow it")
_UNABLE = _Answer(CapabilityUnsupported, "AWS KMS cannot do this here, or not with this key")
_BAD_REQUEST = _Answer(InvalidArgument, "AWS KMS refuses the request")
_UNDECRYPTABLE = _Answer(DecryptionFailed, "the ciphertext, the key and the associated data do not belong together")
_BAD_IMPORT = _Answer(InvalidArgument, "AWS KMS refuses the wrapped key")
_OLD_IMPORT = _Answer(
    InvalidArgument, "the import ticket is used or expired", next_step="Begin the import again for a new ticket."
)
_POLICY_TEXT = _Answer(
    ConfigurationError, "AWS KMS refuses the key policy", next_step="Correct the file that key_policy_file names."
)
_ALIAS = _Answer(ConfigurationError, "AWS KMS refuses the alias", next_step="Choose another alias_prefix.")
_STORE = _Answer(
    ConfigurationError, "the custom key store cannot be used", next_step="Check it, and custom_key_store_id."
)
_STORE_AWAY = _Answer(BackendUnavailable, "the custom key store is not connected", next_step="Connect it.")

FAILURES = frozenset(
    {
        *("DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"),
        *("InternalFailure", "InternalServerError", "InternalServiceError", "InternalError", "ServiceFailure"),
        *("ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException"),
    }
)
"""What AWS says when it failed in the midst of a call: a change may have happened."""

_ANSWERS: dict[str, _Answer] = {
    **dict.fromkeys(FAILURES, _FAILED),
    **dict.fromkeys(("AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"), _DENIED),
    **dict.fromkeys(("UnrecognizedClientException", "InvalidClientTokenId", "OptInRequired"), _REFUSED),
    **dict.fromkeys(("InvalidAccessKeyId", "InvalidIdentityToken", "IDPRejectedClaim"), _REFUSED),
    **dict.fromkeys(("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"), _REFUSED),
    **dict.fromkeys(("IncompleteSignatureException", "MissingAuthenticationToken"), _REFUSED),
    "MissingAuthenticationTokenException": _REFUSED,
    **dict.fromkeys(("ExpiredTokenException", "ExpiredToken"), _EXPIRED),
    **dict.fromkeys(("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"), _SKEWED),
    **dict.fromkeys(("ThrottlingException", "Throttling", "ThrottledException", "RequestThrottled"), _BUSY),
    **dict.fromkeys(("RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException"), _BUSY),
    **dict.fromkeys(("SlowDown", "PriorRequestNotComplete", "BandwidthLimitExceeded"), _BUSY),
    "LimitExceededException": _QUOTA,
    **dict.fromkeys(("NotFoundException", "InvalidArnException"), _ABSENT),
    "DisabledException": _DISABLED,
    "KMSInvalidStateException": _STATE,
    "ConflictException": _Answer(Conflict, "somebody else is changing the key"),
    "AlreadyExistsException": _Answer(KeyAlreadyExists, "it exists already in AWS KMS"),
    **dict.fromkeys(("UnsupportedOperationException", "InvalidKeyUsageException", "InvalidAction"), _UNABLE),
    "UnknownOperationException": _UNABLE,
    **dict.fromkeys(("ValidationException", "ValidationError", "SerializationException"), _BAD_REQUEST),
    **dict.fromkeys(("TagException", "InvalidMarkerException", "InvalidGrantTokenException"), _BAD_REQUEST),
    **dict.fromkeys(("InvalidCiphertextException", "IncorrectKeyException"), _UNDECRYPTABLE),
    "IncorrectKeyMaterialException": _BAD_IMPORT,
    **dict.fromkeys(("ExpiredImportTokenException", "InvalidImportTokenException"), _OLD_IMPORT),
    "KMSInvalidSignatureException": _Answer(InvalidSignature, "the signature is wrong"),
    "KMSInvalidMacException": _Answer(InvalidSignature, "the code is wrong"),
    "MalformedPolicyDocumentException": _POLICY_TEXT,
    "InvalidAliasNameException": _ALIAS,
    **dict.fromkeys(("CustomKeyStoreNotFoundException", "CloudHsmClusterInvalidConfigurationException"), _STORE),
    **dict.fromkeys(("XksKeyInvalidConfigurationException", "XksKeyAlreadyInUseException"), _STORE),
    "XksKeyNotFoundException": _STORE,
    "CustomKeyStoreInvalidStateException": _STORE_AWAY,
    "DryRunOperationException": _Answer(BackendUnavailable, "AWS KMS only tried", retryable=False),
}
_UNEXPECTED = _Answer(BackendUnavailable, "AWS answered what it never should", retryable=False, next_step=_AGAIN)
_CHECK_NETWORK = "Check the network, the proxy, the region and the endpoint; `keyclave health` shows when it is back."
_NO_CREDENTIALS = (sdk.NoCredentialsError, sdk.PartialCredentialsError)
_NEVER_SENT = (
    *_NO_CREDENTIALS,
    sdk.ParamValidationError,
    sdk.EndpointConnectionError,
    sdk.ConnectTimeoutError,
    sdk.ProxyConnectionError,
    sdk.CredentialRetrievalError,
    sdk.MetadataRetrievalError,
)
_CODE = re.compile(r"[A-Za-z0-9.:_-]{1,64}")
_SOURCE_PREFIX = "AssumeRole"  # of the call for credentials, before the one that was meant
_SERVER_ERROR, _TOO_MANY = 500, 429


def translate(error: Exception, *, changes: bool) -> KeyclaveError:
    """Return what to raise for an exception of the SDK, or for an answer that could not be read.

    Args:
        error: the exception.
        changes: whether the call may have changed something, once it was sent.
    """
    if isinstance(error, sdk.ClientError):
        return _from_answer(error, changes=changes and not error.operation_name.startswith(_SOURCE_PREFIX))
    if _was_never_sent(error):
        return _unsent(error)
    problem = f"AWS did not answer, or not as it should ({type(error).__name__})"
    if changes:
        return OutcomeUnknown(problem)
    if isinstance(error, sdk.ReadTimeoutError):
        return DeadlineExceeded(problem)
    return BackendUnavailable(problem, next_step=_CHECK_NETWORK)


def _unsent(error: Exception) -> KeyclaveError:
    if isinstance(error, sdk.PartialCredentialsError):
        return AuthenticationFailed(f"{error.kwargs['cred_var']} is missing", next_step=_CREDENTIALS)
    if isinstance(error, sdk.NoCredentialsError):
        return AuthenticationFailed("there are no credentials", next_step=_CREDENTIALS)
    if isinstance(error, sdk.ParamValidationError):
        return InvalidArgument("the SDK of AWS refuses the arguments")
    return BackendUnavailable(
        f"AWS cannot be reached{_place_of(error)} ({type(error).__name__})", next_step=_CHECK_NETWORK
    )


def _place_of(error: Exception) -> str:
    """Return where the SDK tried to connect, if it says so; never the proxy, whose URL may hold a password."""
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f" at {url.scheme}://{url.netloc}" if url.netloc else ""


def code_of(error: sdk.ClientError) -> str:
    """Return the code of an answer, if it can be shown."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "a code that cannot be shown"


def reference_of(answer: Any) -> str | None:
    """Return the id that AWS gave a request, which is ``requestID`` in CloudTrail."""
    found = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
    return found if _CODE.fullmatch(found) else None


def is_expired(error: sdk.ClientError) -> bool:
    """Return whether AWS refused the call since the credentials are expired."""
    return _ANSWERS.get(code_of(error)) is _EXPIRED


def _from_answer(error: sdk.ClientError, *, changes: bool) -> KeyclaveError:
    code, metadata = code_of(error), error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    answer = _ANSWERS.get(code) or (
        _BUSY if status == _TOO_MANY else _FAILED if status >= _SERVER_ERROR else _UNEXPECTED
    )
    reference = reference_of(error.response)
    if changes and (answer is _FAILED or answer is _UNEXPECTED):
        return OutcomeUnknown(f"{answer.message} in the midst of a change ({code})", provider_reference=reference)
    action = f"{'sts' if error.operation_name.startswith(_SOURCE_PREFIX) else 'kms'}:{error.operation_name}"
    # The codes for a ciphertext tell its causes apart, which nobody should learn from a refusal.
    message = answer.message if answer is _UNDECRYPTABLE else f"{answer.message.format(action=action)} ({code})"
    if answer.kind is Throttled:
        after = _seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
        return Throttled(message, retry_after=after, provider_reference=reference)
    return answer.kind(message, retryable=answer.retryable, next_step=answer.next_step, provider_reference=reference)


def _seconds(header: Any) -> float | None:
    """Return the seconds of a ``Retry-After``; its other form, a date, is not used by AWS."""
    return float(header) if isinstance(header, str) and re.fullmatch(r"[0-9]{1,6}", header) else None


def _was_never_sent(error: Exception) -> bool:
    if isinstance(error, sdk.SSLError):  # also raised for a connection that broke later
        return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    return isinstance(error, _NEVER_SENT)


def _causes(error: sdk.SSLError) -> Iterator[object]:
    cause: Any = error.kwargs.get("error")
    while isinstance(cause, BaseException):
        yield cause
        cause = next((argument for argument in cause.args if isinstance(argument, BaseException)), cause.__cause__)
