from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from uuid import UUID

import keyclave.plugin
import msgspec
import pytest
import rich.pretty
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.errors import InvalidArgument
from keyclave.plugin import Decrypted, KeyLabel, hookspecs, records
from keyclave.plugin.records import Record

RECORDS = [
    record
    for record in vars(records).values()
    if isinstance(record, type) and issubclass(record, Record) and record is not Record
]
every_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)


def kind(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each in the order of the alphabet."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("module", [keyclave.plugin, records, hookspecs], ids=lambda module: module.__name__)
def test_the_list_of_public_names_is_complete_and_sorted(module: object) -> None:
    listed: list[str] = vars(module)["__all__"]
    assert listed == sorted(set(listed), key=kind)
    defined = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == vars(module)["__name__"]
    }
    assert defined <= set(listed)


def test_the_author_finds_everything_in_one_place() -> None:
    offered = set(keyclave.plugin.__all__)
    assert offered == {*records.__all__, *hookspecs.__all__, "CONTRACTS"} - {"PROJECT", "hookspec"}
    assert all(hasattr(keyclave.plugin, name) for name in offered)


@every_record
def test_a_record_is_frozen_and_takes_names_only(record: type[Record]) -> None:
    config = record.__struct_config__
    assert config.frozen
    fields = msgspec.structs.fields(record)
    assert fields
    with pytest.raises(TypeError):
        record(*(None for _ in fields))


@every_record
def test_a_record_describes_every_field(record: type[Record]) -> None:
    described = (inspect.getdoc(record) or "").partition("Attributes:\n")[2]
    names = {name for names in re.findall(r"^    ([\w, ]+):", described, re.MULTILINE) for name in names.split(", ")}
    assert names == {field.name for field in msgspec.structs.fields(record)}


@given(st.uuids(), st.uuids(), st.integers(1, 10**9), st.uuids())
@settings(max_examples=50)
def test_a_label_is_read_as_it_was_written(instance: UUID, key: UUID, version: int, operation: UUID) -> None:
    label = KeyLabel(instance_id=instance, key_id=key, version=version, operation_id=operation)
    assert KeyLabel.parse(str(label)) == label


_ONE = KeyLabel(instance_id=UUID(int=1), key_id=UUID(int=2), version=3, operation_id=UUID(int=4))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keyclave",
        str(_ONE).upper(),
        str(_ONE) + ":",
        str(_ONE) + " ",
        str(_ONE).replace("keyclave", "other"),
        str(_ONE).replace(":3:", ":0:"),
        str(_ONE).replace(":3:", ":-3:"),
        str(_ONE).replace(":3:", ":03:"),
        str(_ONE).replace(":3:", ":+3:"),
        str(_ONE).replace(":3:", ":three:"),
        str(_ONE).replace("0" * 31 + "1", str(UUID(int=1))),
    ],
)
def test_a_text_that_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="not a Keyclave key label") as caught:
        KeyLabel.parse(text)
    assert caught.value.__cause__ is None


@given(st.text(max_size=150))
@settings(max_examples=50)
def test_any_text_is_a_label_or_refused(text: str) -> None:
    try:
        label = KeyLabel.parse(text)
    except InvalidArgument:
        return
    assert str(label) == text


def test_a_plaintext_is_not_shown() -> None:
    decrypted = Decrypted(plaintext=b"canary", provider_reference="canary")
    shown = repr(decrypted)
    assert rich.pretty.pretty_repr(decrypted) == shown
    assert "canary" not in shown
    assert "6 bytes" in shown


def test_equal_records_are_equal_and_hashable() -> None:
    one, other = (
        records.DestroyResult(state=records.DestroyState.SCHEDULED, scheduled_for=datetime(2030, 1, 1, tzinfo=UTC))
        for _ in range(2)
    )
    assert one == other
    assert hash(one) == hash(other)
