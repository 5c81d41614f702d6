"""The JSON Schema of `contract-report.json`, made from the records and their docstrings."""

from __future__ import annotations

import inspect
import json
import re
from enum import StrEnum
from typing import Any

import msgspec

from keyclave_contract_tests import results, vocabulary
from keyclave_contract_tests.results import SCHEMA, Report

__all__ = ["schema", "text"]

_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.|\n     )+)", re.MULTILINE)
_TYPES: dict[str, type] = {
    name: getattr(module, name)
    for module in (results, vocabulary)
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
}


def schema() -> dict[str, Any]:
    """Return the schema, of JSON Schema 2020-12."""
    made = msgspec.json.schema(Report)
    definitions = {name: _described(name, made["$defs"][name]) for name in sorted(made["$defs"])}
    definitions["Report"]["properties"]["schema"]["const"] = SCHEMA
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of the Keyclave contract suite",
        "$ref": made["$ref"],
        "$defs": definitions,
    }


def text() -> str:
    """Return the schema as it is published."""
    return json.dumps(schema(), indent=2) + "\n"


def _described(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with what the docstring says of the type, and of each of its fields or values."""
    kind = _TYPES[name]
    summary, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:\n")
    said = {key: " ".join(words.split()) for key, words in _ATTRIBUTE.findall(attributes)}
    description = " ".join(summary.split())
    if issubclass(kind, StrEnum):
        values = (f"{one.value}: {said[one.name]}" for one in kind if one.name in said)
        return {**definition, "description": " ".join([description, *values])}
    properties = {key: {**value, "description": said[key]} for key, value in definition["properties"].items()}
    return {**definition, "description": description, "properties": properties}
