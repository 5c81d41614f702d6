"""How a label is kept with a key: in four tags, which are trusted, and in an alias, which only helps to find it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from keyclave.errors import InvalidArgument
from keyclave.plugin import KeyLabel

if TYPE_CHECKING:
    from types_boto3_kms.type_defs import TagTypeDef

__all__ = ["INSTANCE_TAG", "alias_of", "label_in", "next_alias", "tags_of"]

INSTANCE_TAG = "keyclave:instance"
_KEY_TAG, _VERSION_TAG, _OPERATION_TAG = "keyclave:key", "keyclave:version", "keyclave:operation"


def tags_of(label: KeyLabel) -> list[TagTypeDef]:
    """Return the tags of the key with this label."""
    values = {
        INSTANCE_TAG: label.instance_id.hex,
        _KEY_TAG: label.key_id.hex,
        _VERSION_TAG: str(label.version),
        _OPERATION_TAG: label.operation_id.hex,
    }
    return [{"TagKey": key, "TagValue": value} for key, value in values.items()]


def label_in(tags: Iterable[Mapping[str, str]]) -> KeyLabel | None:
    """Return the label that is in the tags of a key; ``None`` if there is none, or not all of one."""
    values = {tag["TagKey"]: tag["TagValue"] for tag in tags}
    parts = [values.get(tag, "") for tag in (INSTANCE_TAG, _KEY_TAG, _VERSION_TAG, _OPERATION_TAG)]
    try:
        return KeyLabel.parse(":".join(["keyclave", *parts]))
    except InvalidArgument:
        return None


def alias_of(prefix: str, label: KeyLabel) -> str:
    """Return the alias of the key with this label, of at most 256 characters.

    Examples:
        >>> from uuid import UUID
        >>> alias_of("keyclave", KeyLabel(
        ...     instance_id=UUID(int=1), key_id=UUID(int=2), version=3, operation_id=UUID(int=4)))
        'alias/keyclave/00000000/00000000000000000000000000000002/3/00000000'
    """
    instance, operation = label.instance_id.hex[:8], label.operation_id.hex[:8]
    return f"alias/{prefix}/{instance}/{label.key_id.hex}/{label.version}/{operation}"


def next_alias(alias: str, key_id: str, times: int = 1) -> str:
    """Return the alias of the key that comes after a destroyed one with the same label.

    Args:
        alias: of the first key with this label.
        key_id: the id that AWS gave the destroyed one.
        times: how many aliases lead to that one, which has one more each time that its destruction is called off.

    Examples:
        >>> next_alias("alias/keyclave/00000000/00000000000000000000000000000002/3/00000000", "1234abcd")
        'alias/keyclave/00000000/00000000000000000000000000000002/3/00000000/1234abcd'
    """
    return f"{alias}/{key_id}" if times == 1 else f"{alias}/{key_id}/{times}"
