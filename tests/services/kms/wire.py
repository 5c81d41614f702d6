"""Requests and answers on the wire, by the service model that botocore has: AWS JSON 1.1.

Binary data is Base64, a time is a number of seconds. What the model does not allow is refused in a request, and is a
mistake of this service in an answer.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.session import get_session

from tests.services.kms.failures import KmsFailure

__all__ = ["MODEL", "decode", "encode"]

MODEL: ServiceModel = get_session().get_service_model("kms")


def decode(shape: Shape, value: Any, place: str = "the request") -> Any:
    """Return a value of a request as Python has it.

    Raises:
        KmsFailure: the model does not allow it.
    """
    if isinstance(shape, StructureShape):
        return _structure(shape, _expect(dict, value, place), place)
    if isinstance(shape, ListShape):
        _check_length(shape, len(_expect(list, value, place)), place)
        return [decode(shape.member, item, place) for item in value]
    if isinstance(shape, MapShape):
        return {key: decode(shape.value, item, place) for key, item in _expect(dict, value, place).items()}
    return _scalar(shape, value, place)


def encode(shape: Shape, value: Any) -> Any:
    """Return a value of an answer as JSON has it; KeyError for a member that the model does not have."""
    if isinstance(shape, StructureShape):
        return {name: encode(shape.members[name], item) for name, item in value.items() if item is not None}
    if isinstance(shape, ListShape):
        return [encode(shape.member, item) for item in value]
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value.timestamp() if shape.type_name == "timestamp" else value


def _structure(shape: StructureShape, value: dict[str, Any], place: str) -> dict[str, Any]:
    missing = [name for name in shape.required_members if value.get(name) is None]
    if missing:
        raise _refused(missing[0], "Member must not be null")
    unknown = value.keys() - shape.members.keys()
    if unknown:
        raise _refused(place, f"there is no {min(unknown)}")
    return {name: decode(shape.members[name], item, name) for name, item in value.items() if item is not None}


def _scalar(shape: Shape, value: Any, place: str) -> Any:
    match shape.type_name:
        case "blob":
            found = _blob(_expect(str, value, place), place)
            _check_length(shape, len(found), place)
            return found
        case "string":
            _check_length(shape, len(_expect(str, value, place)), place)
            if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
                raise _refused(place, f"Member must satisfy enum value set: {shape.enum}")
            return value
        case "timestamp":
            return datetime.fromtimestamp(value, UTC)
        case "boolean":
            return _expect(bool, value, place)
        case "integer":
            _check_length(shape, _expect(int, value, place), place)
            return value
    raise NotImplementedError(shape.type_name)


def _blob(value: str, place: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise _refused(place, "it is not Base64") from None


def _expect(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise KmsFailure("SerializationException", f"{place} is not of type {kind.__name__}")
    return value


def _check_length(shape: Shape, size: int, place: str) -> None:
    smallest, largest = shape.metadata.get("min", 0), shape.metadata.get("max", size)
    if not smallest <= size <= largest:
        raise _refused(place, f"{size} is not between {smallest} and {largest}")


def _refused(place: str, why: str) -> KmsFailure:
    return KmsFailure("ValidationException", f"Value at '{place}' failed to satisfy constraint: {why}")
