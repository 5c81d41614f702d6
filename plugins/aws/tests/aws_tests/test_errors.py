"""Every code that AWS may answer has its error, and no answer's text gets through."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from aws_tests.backends import NewLabel, create
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber
from keyclave import errors
from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    DecryptionFailed,
    IntegrityError,
    InvalidArgument,
    InvalidSignature,
    KeyAlreadyExists,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
    Throttled,
)
from keyclave.plugin import KeyReference
from keyclave_aws.backend import AwsBackend
from keyclave_aws.errors import _ANSWERS, FAILURES, translate

from tests.services.kms.failures import KmsFailure
from tests.services.kms.server import Running

EXPECTED: dict[type[KeyclaveError], str] = {
    KeyNotFound: "NotFoundException InvalidArnException",
    AccessDenied: "AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized",
    AuthenticationFailed: "UnrecognizedClientException InvalidClientTokenId OptInRequired InvalidAccessKeyId "
    "InvalidIdentityToken IDPRejectedClaim InvalidSignatureException SignatureDoesNotMatch "
    "IncompleteSignature IncompleteSignatureException MissingAuthenticationToken MissingAuthenticationTokenException "
    "ExpiredTokenException ExpiredToken RequestExpired RequestTimeTooSkewed RequestInTheFuture",
    Throttled: "ThrottlingException Throttling ThrottledException RequestThrottled RequestThrottledException "
    "RequestLimitExceeded TooManyRequestsException SlowDown PriorRequestNotComplete BandwidthLimitExceeded",
    BackendUnavailable: "LimitExceededException DependencyTimeoutException KMSInternalException "
    "KeyUnavailableException InternalFailure InternalServerError InternalServiceError InternalError "
    "ServiceFailure ServiceUnavailable "
    "ServiceUnavailableException RequestTimeout RequestTimeoutException CustomKeyStoreInvalidStateException "
    "DryRunOperationException",
    KeyDisabled: "DisabledException",
    Conflict: "KMSInvalidStateException ConflictException",
    KeyAlreadyExists: "AlreadyExistsException",
    CapabilityUnsupported: "UnsupportedOperationException InvalidKeyUsageException InvalidAction "
    "UnknownOperationException",
    InvalidArgument: "ValidationException ValidationError SerializationException TagException InvalidMarkerException "
    "InvalidGrantTokenException IncorrectKeyMaterialException ExpiredImportTokenException "
    "InvalidImportTokenException",
    DecryptionFailed: "InvalidCiphertextException IncorrectKeyException",
    InvalidSignature: "KMSInvalidSignatureException KMSInvalidMacException",
    ConfigurationError: "MalformedPolicyDocumentException InvalidAliasNameException CustomKeyStoreNotFoundException "
    "CloudHsmClusterInvalidConfigurationException XksKeyInvalidConfigurationException XksKeyAlreadyInUseException "
    "XksKeyNotFoundException",
}
KINDS = {code: kind for kind, codes in EXPECTED.items() for code in codes.split()}
USED = (
    *(
        "CreateKey",
        "DescribeKey",
        "ListKeys",
        "ListResourceTags",
        "CreateAlias",
        "ListAliases",
        "GetPublicKey",
        "Sign",
    ),
    *("Encrypt", "Decrypt", "EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion"),
    *("GetParametersForImport", "ImportKeyMaterial"),
)
SECRET = "arn:aws:iam::111122223333:user/somebody is not welcome"


def refusal(code: str, status: int = 400, operation: str = "Sign", **metadata: Any) -> sdk.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": SECRET},
        "ResponseMetadata": {"RequestId": "request-7", "HTTPStatusCode": status, "HTTPHeaders": {}, **metadata},
    }
    return sdk.ClientError(response, operation)


def test_the_table_and_its_expectation_have_the_same_codes() -> None:
    assert set(_ANSWERS) == set(KINDS)


def test_every_error_in_the_service_model_of_an_operation_in_use_is_in_the_table() -> None:
    model = botocore.session.Session().get_service_model("kms")
    codes = {shape.name for name in USED for shape in model.operation_model(name).error_shapes}
    assert codes <= set(_ANSWERS)
    assert len(codes) > 25


@pytest.mark.parametrize("code", sorted(KINDS))
def test_each_code_has_its_error(code: str) -> None:
    error = translate(refusal(code), changes=False)
    assert type(error) is KINDS[code]
    assert error.provider_reference == "request-7"
    assert SECRET not in f"{error} {error.next_step}"
    assert code in error.message or KINDS[code] is DecryptionFailed
    retryable = (
        KINDS[code] in (Throttled, Conflict) or code in FAILURES or code == "CustomKeyStoreInvalidStateException"
    )
    assert error.retryable is retryable


@pytest.mark.parametrize("code", sorted(KINDS))
def test_a_change_that_failed_midway_has_an_unknown_outcome(code: str) -> None:
    error = translate(refusal(code, operation="CreateKey"), changes=True)
    assert type(error) is (OutcomeUnknown if code in FAILURES else KINDS[code])
    assert error.provider_reference == "request-7"


def test_own_kms_each_code_comes_over_the_wire(own_kms: Running, on_own_kms: AwsBackend, new_label: NewLabel) -> None:
    key = create(on_own_kms, new_label()).reference
    explained = {"DisabledException", "KMSInvalidStateException", "ConflictException"}  # by the state of the key
    for code in sorted(KINDS.keys() - explained - {"ExpiredToken", "ExpiredTokenException"}):
        own_kms.kms.fail("Sign", KmsFailure(code, SECRET))
        with pytest.raises(KINDS[code]) as refused:
            on_own_kms.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
        assert SECRET not in str(refused.value)
        last = [call for call in own_kms.kms.calls if call.operation == "Sign"][-1]
        assert refused.value.provider_reference == last.request_id


@pytest.mark.parametrize(
    ("status", "changes", "kind", "retryable"),
    [
        (400, False, BackendUnavailable, False),
        (403, False, BackendUnavailable, False),
        (400, True, OutcomeUnknown, False),
        (429, False, Throttled, True),
        (429, True, Throttled, True),
        (500, False, BackendUnavailable, True),
        (503, False, BackendUnavailable, True),
        (500, True, OutcomeUnknown, False),
        (503, True, OutcomeUnknown, False),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(
    status: int,
    changes: bool,  # noqa: FBT001
    kind: type[KeyclaveError],
    retryable: bool,  # noqa: FBT001
) -> None:
    error = translate(refusal("NeverSeenException", status), changes=changes)
    assert type(error) is kind
    assert error.retryable is retryable


def test_a_code_or_id_that_could_be_anything_is_not_shown() -> None:
    error = translate(refusal("<html>\x1b[31m" + "x" * 100, RequestId="<script>"), changes=False)
    assert "html" not in str(error)
    assert error.provider_reference is None


def test_a_refusal_of_the_credentials_source_is_named_so_and_changed_nothing() -> None:
    error = translate(refusal("InternalFailure", 500, "AssumeRoleWithWebIdentity"), changes=True)
    assert type(error) is BackendUnavailable
    denied = translate(refusal("AccessDenied", 403, "AssumeRoleWithWebIdentity"), changes=True)
    assert "sts:AssumeRoleWithWebIdentity" in denied.message


URL = "https://kms.us-east-1.amazonaws.com"
UNVERIFIED = ssl.SSLCertVerificationError("certificate verify failed")
SILENCE: list[tuple[Exception, type[KeyclaveError], type[KeyclaveError]]] = [
    (sdk.EndpointConnectionError(endpoint_url=URL), BackendUnavailable, BackendUnavailable),
    (sdk.ConnectTimeoutError(endpoint_url=URL), BackendUnavailable, BackendUnavailable),
    (sdk.ProxyConnectionError(proxy_url=URL), BackendUnavailable, BackendUnavailable),
    (sdk.SSLError(endpoint_url=URL, error=UNVERIFIED), BackendUnavailable, BackendUnavailable),
    (sdk.SSLError(endpoint_url=URL, error=ssl.SSLEOFError()), BackendUnavailable, OutcomeUnknown),
    (sdk.CredentialRetrievalError(provider="x", error_msg=SECRET), BackendUnavailable, BackendUnavailable),
    (sdk.NoCredentialsError(), AuthenticationFailed, AuthenticationFailed),
    (sdk.PartialCredentialsError(provider="x", cred_var="y"), AuthenticationFailed, AuthenticationFailed),
    (sdk.ParamValidationError(report=SECRET), InvalidArgument, InvalidArgument),
    (sdk.ReadTimeoutError(endpoint_url=URL), DeadlineExceeded, OutcomeUnknown),
    (sdk.ConnectionClosedError(endpoint_url=URL), BackendUnavailable, OutcomeUnknown),
    (sdk.HTTPClientError(error=SECRET), BackendUnavailable, OutcomeUnknown),
    (ResponseParserError(SECRET), BackendUnavailable, OutcomeUnknown),
    (KeyError(SECRET), BackendUnavailable, OutcomeUnknown),
]


def test_where_nobody_answers_is_named_but_no_proxy() -> None:
    wrong_region = sdk.EndpointConnectionError(endpoint_url="https://kms.eu-centrl-1.amazonaws.com/")
    assert "at https://kms.eu-centrl-1.amazonaws.com (" in translate(wrong_region, changes=False).message
    proxy = sdk.ProxyConnectionError(proxy_url=f"http://me:{SECRET}@proxy")
    assert translate(proxy, changes=False).message == "AWS cannot be reached (ProxyConnectionError)"


@pytest.mark.parametrize(("error", "asked", "changed"), SILENCE, ids=lambda value: getattr(value, "__name__", None))
def test_silence_is_unknown_only_once_a_change_may_have_been_sent(
    error: Exception, asked: type[KeyclaveError], changed: type[KeyclaveError]
) -> None:
    for changes, kind in ((False, asked), (True, changed)):
        translated = translate(error, changes=changes)
        assert type(translated) is kind
        assert SECRET not in str(translated)


def test_every_error_is_one_of_keyclave() -> None:
    assert all(getattr(errors, kind.__name__) is kind for kind in KINDS.values())


ANOTHER = "arn:aws:kms:us-east-1:000000000000:key/another"
ANSWERS: dict[str, tuple[dict[str, Any], Callable[[AwsBackend, KeyReference], object]]] = {
    "sign": (
        {"KeyId": ANOTHER, "Signature": b"s", "SigningAlgorithm": "ECDSA_SHA_256"},
        lambda backend, key: backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256"),
    ),
    "schedule_key_deletion": ({"KeyId": ANOTHER}, lambda backend, key: backend.destroy_key(key=key)),
}


@pytest.mark.parametrize("method", list(ANSWERS))
def test_stubbed_an_answer_for_another_key_is_refused(
    on_own_kms: AwsBackend, new_label: NewLabel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create(on_own_kms, new_label()).reference
    answer, call = ANSWERS[method]
    sdk_client: Any = on_own_kms._kms._connection.client
    stubbed = botocore.session.Session().create_client("kms", region_name="us-east-1")
    with Stubber(stubbed) as stubber:
        stubber.add_response(method, answer)
        monkeypatch.setattr(sdk_client, method, getattr(stubbed, method))
        with pytest.raises(IntegrityError, match="another key"):
            call(on_own_kms, key)


def test_stubbed_an_answer_that_lacks_what_it_must_have_is_no_answer(
    on_own_kms: AwsBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create(on_own_kms, new_label()).reference
    sdk_client: Any = on_own_kms._kms._connection.client
    stubbed: Any = botocore.session.Session().create_client("kms", region_name="us-east-1")
    with Stubber(stubbed) as stubber:
        stubber.add_response("sign", {})
        stubber.add_response("sign", {"KeyId": key.uri, "Signature": b"s", "SigningAlgorithm": "ECDSA_SHA_384"})
        monkeypatch.setattr(sdk_client, "sign", stubbed.sign)
        with pytest.raises(BackendUnavailable):
            on_own_kms.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
        with pytest.raises(IntegrityError, match="another algorithm"):
            on_own_kms.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
