"""Operations that make, show, enable, disable and delete keys."""

from __future__ import annotations

from datetime import timedelta

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.specs import SPECS

__all__ = ["OPERATIONS"]

_TAGS_OF_A_KEY = 50


def create_key(account: Account, request: Request) -> Answer:
    """Make a key; its material comes later if its origin is EXTERNAL. There is no way to make it only once."""
    name = request.get("KeySpec", request.get("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"))
    origin = request.get("Origin", "AWS_KMS")
    if name not in SPECS or origin not in {"AWS_KMS", "EXTERNAL"}:
        raise KmsFailure("UnsupportedOperationException", f"{name} of {origin} is not made here")
    key = account.keyring.add(
        spec_name=name,
        usage=_usage(name, request.get("KeyUsage")),
        origin=origin,
        created=account.clock(),
        description=request.get("Description", ""),
        multi_region=request.get("MultiRegion", False),
        tags=_tags(request),
        policy=request.get("Policy"),
        material=SPECS[name].generate() if origin == "AWS_KMS" else None,
        state="Enabled" if origin == "AWS_KMS" else "PendingImport",
    )
    return {"KeyMetadata": key.metadata()}


def describe_key(account: Account, request: Request) -> Answer:
    """Show a key, in whatever state."""
    return {"KeyMetadata": account.keyring.find(request["KeyId"]).metadata()}


def enable_key(account: Account, request: Request) -> Answer:
    """Enable a key, which may be enabled."""
    return _set_state(account, request, "Enabled")


def disable_key(account: Account, request: Request) -> Answer:
    """Disable a key, which may be disabled."""
    return _set_state(account, request, "Disabled")


def schedule_key_deletion(account: Account, request: Request) -> Answer:
    """Let a key be deleted after 7 to 30 days."""
    key = account.keyring.named(request["KeyId"])
    days = request.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        raise KmsFailure("ValidationException", "PendingWindowInDays must be between 7 and 30")
    key.check_not_pending_deletion()
    key.state, key.window_days, key.deletion = "PendingDeletion", days, account.clock() + timedelta(days=days)
    return {"KeyId": key.arn, "DeletionDate": key.deletion, "KeyState": key.state, "PendingWindowInDays": days}


def cancel_key_deletion(account: Account, request: Request) -> Answer:
    """Keep a key that was to be deleted; it is disabled then, or waits for its material again."""
    key = account.keyring.named(request["KeyId"])
    if key.state != "PendingDeletion":
        raise KmsFailure("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
    key.state, key.deletion = "PendingImport" if key.material is None else "Disabled", None
    return {"KeyId": key.arn}


def _set_state(account: Account, request: Request, state: str) -> Answer:
    key = account.keyring.named(request["KeyId"])
    key.check_not_pending_deletion()
    key.check_has_material()
    key.state = state
    return {}


def _usage(name: str, usage: str | None) -> str:
    allowed = tuple(SPECS[name].algorithms)
    if usage is None and name == "SYMMETRIC_DEFAULT":
        return allowed[0]
    if usage not in allowed:
        raise KmsFailure("ValidationException", f"KeyUsage of {name} must be one of {allowed}")
    return usage


def _tags(request: Request) -> dict[str, str]:
    tags = {tag["TagKey"]: tag["TagValue"] for tag in request.get("Tags", ())}
    if len(tags) != len(request.get("Tags", ())) or len(tags) > _TAGS_OF_A_KEY:
        raise KmsFailure("TagException", "A tag key is repeated, or there are more than 50")
    return tags


OPERATIONS = {
    "CreateKey": create_key,
    "DescribeKey": describe_key,
    "EnableKey": enable_key,
    "DisableKey": disable_key,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "CancelKeyDeletion": cancel_key_deletion,
}
