"""Operations on aliases."""

from __future__ import annotations

import re

from tests.services.kms.account import Account, Answer, Request
from tests.services.kms.failures import KmsFailure
from tests.services.kms.keys import PREFIX

__all__ = ["OPERATIONS"]

_NAME = re.compile(r"alias/(?!aws/)[a-zA-Z0-9:/_-]+")


def create_alias(account: Account, request: Request) -> Answer:
    """Name a key; a name that is taken is refused."""
    name = request["AliasName"]
    if not _NAME.fullmatch(name):
        raise KmsFailure("InvalidAliasNameException", name)
    if name in account.keyring.aliases:
        raise KmsFailure("AlreadyExistsException", f"An alias with the name {PREFIX}{name} already exists")
    return _lead(account, request)


def update_alias(account: Account, request: Request) -> Answer:
    """Let an alias name another key of the same spec and usage."""
    old = account.keyring.find(_existing(account, request))
    new = account.keyring.named(request["TargetKeyId"])
    if (old.spec_name, old.usage) != (new.spec_name, new.usage):
        raise KmsFailure("ValidationException", f"{new.arn} is not of the same type and usage as {old.arn}")
    return _lead(account, request)


def delete_alias(account: Account, request: Request) -> Answer:
    """Forget an alias; its key stays."""
    del account.keyring.aliases[_existing(account, request)]
    return {}


def _existing(account: Account, request: Request) -> str:
    name: str = request["AliasName"]
    if name not in account.keyring.aliases:
        raise KmsFailure("NotFoundException", f"Alias {PREFIX}{name} is not found.")
    return name


def _lead(account: Account, request: Request) -> Answer:
    key = account.keyring.named(request["TargetKeyId"])
    key.check_not_pending_deletion()
    account.keyring.aliases[request["AliasName"]] = key.id
    return {}


OPERATIONS = {"CreateAlias": create_alias, "UpdateAlias": update_alias, "DeleteAlias": delete_alias}
