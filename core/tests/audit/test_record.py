from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.audit.operations import audit_reference, entry_of, operation_of, to_microseconds
from keyclave.audit.record import MAX_RECORD_SIZE, AuditEntry, AuditRecord, decode_record, encode_entry
from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.models import CryptographicOperation, OperationStatus, OperationType

INSTANCE = uuid.UUID(int=7)
Make = Callable[..., AuditEntry]

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=120).map(str.strip).filter(bool)
entries = st.builds(
    AuditEntry,
    backend_id=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}", fullmatch=True),
    backend_type=st.none() | st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True),
    duration_us=st.none() | st.integers(0, 10**15),
    error_message=texts,
    key_reference=texts,
    key_version=st.none() | st.integers(1, 2**31 - 1),
    occurred_at=st.integers(0, time.time_ns() // 1000),
    operation_id=st.uuids(),
    operation_type=st.sampled_from(OperationType),
    principal=texts,
    provider_reference=st.none() | texts,
    status=st.sampled_from(OperationStatus),
)


@settings(max_examples=50)
@given(entries)
def test_an_entry_becomes_an_operation_and_back(entry: AuditEntry) -> None:
    record = decode_record(encode_entry(entry))
    operation = operation_of(record, INSTANCE)
    assert operation.audit_trail_reference == audit_reference(INSTANCE, entry.operation_id)
    assert encode_entry(entry_of(operation)) == encode_entry(record)
    again = CryptographicOperation.model_validate_json(operation.model_dump_json(), context={"stored": True})
    assert again == operation


@settings(max_examples=50)
@given(entries)
def test_the_bytes_are_the_canonical_json_that_the_standard_library_writes(entry: AuditEntry) -> None:
    data = encode_entry(entry)
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data


def test_a_record_has_exactly_these_fields_in_sorted_order(make_entry: Make) -> None:
    members = list(json.loads(encode_entry(make_entry())))
    assert members == sorted(members)
    assert members == [
        "backend_id",
        "backend_type",
        "duration_us",
        "error_message",
        "key_reference",
        "key_version",
        "occurred_at",
        "operation_id",
        "operation_type",
        "principal",
        "provider_reference",
        "status",
        "v",
    ]


def test_a_field_that_is_not_listed_cannot_be_logged(make_entry: Make) -> None:
    with pytest.raises(TypeError):
        make_entry(request_body=b"secret")
    known = json.loads(encode_entry(make_entry()))
    with pytest.raises(IntegrityError):
        decode_record(json.dumps(known | {"zz": 1}, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("principal", b"bytes are not text"),
        ("principal", ""),
        ("principal", " padded"),
        ("principal", "p" * 257),
        ("principal", "\ud800"),
        ("principal", None),
        ("key_reference", bytearray(b"x")),
        ("key_reference", "k" * 301),
        ("key_reference", "padded\n"),
        ("key_version", 0),
        ("key_version", 1.0),
        ("key_version", True),
        ("duration_us", -1),
        ("duration_us", 0.5),
        ("occurred_at", -1),
        ("occurred_at", 2**63),
        ("occurred_at", datetime.now(UTC)),
        ("operation_id", "no uuid"),
        ("operation_type", "STEAL"),
        ("status", "MAYBE"),
        ("backend_id", "../etc"),
        ("backend_type", "Software"),
        ("error_message", b"\x00\x01"),
        ("error_message", ["text"]),
        ("provider_reference", b"\x00\x01"),
    ],
)
def test_a_field_of_the_wrong_type_or_range_is_refused_by_name_and_never_shown(
    make_entry: Make, field: str, value: Any
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_entry(make_entry(**{field: value}))
    assert field in str(caught.value) or "a text" in str(caught.value)
    if value:
        assert str(value) not in str(caught.value)


def test_a_time_in_the_future_is_refused(make_entry: Make) -> None:
    with pytest.raises(InvalidArgument, match="future"):
        encode_entry(make_entry(occurred_at=time.time_ns() // 1000 + 60_000_000))


@pytest.mark.parametrize("message", [None, "", " \n"])
def test_a_failed_operation_without_a_reason_is_refused(make_entry: Make, message: str | None) -> None:
    with pytest.raises(InvalidArgument, match="error_message"):
        encode_entry(make_entry(status=OperationStatus.FAILED, error_message=message))


def test_control_characters_are_escaped_so_that_no_line_can_be_forged(make_entry: Make) -> None:
    data = encode_entry(make_entry(principal="eve\n\x1b[2K{}\x00"))
    assert not any(byte < 0x20 for byte in data)
    assert decode_record(data).principal == "eve\n\x1b[2K{}\x00"


@pytest.mark.parametrize(
    "secret",
    ["-----BEGIN PRIVATE KEY-----", "ab" * 32, "x" * 500 + "ab" * 32, "MHcCAQEEIOnVvkS1zVbT9dQ2m8Yc0QkqJqk1Zx7cQmW0"],
    ids=["pem", "hex", "hex-over-the-cut", "base64"],
)
def test_a_message_that_looks_like_key_material_is_withheld(make_entry: Make, secret: str) -> None:
    data = encode_entry(make_entry(status=OperationStatus.FAILED, error_message=f"bad {secret} here"))
    assert decode_record(data).error_message == "withheld: the message looked as if it held key material"
    assert b"BEGIN" not in data
    assert b"abab" not in data


def test_text_from_a_backend_never_makes_a_record_impossible(make_entry: Make) -> None:
    entry = make_entry(
        status=OperationStatus.FAILED, error_message="é\ud800 " * 2000, provider_reference=" \udfff" + "r" * 500
    )
    record = decode_record(encode_entry(entry))
    assert record.error_message is not None
    assert len(record.error_message) <= 512
    assert record.provider_reference is not None
    assert len(record.provider_reference) == 128
    assert decode_record(encode_entry(make_entry(provider_reference="  "))).provider_reference is None


def test_the_longest_record_stays_below_the_cap(make_entry: Make) -> None:
    escaped = "\x01"
    entry = make_entry(
        backend_id="b" * 255,
        backend_type="t" * 63,
        duration_us=10**15,
        error_message="." + escaped * 9999 + ".",
        key_reference="." + escaped * 298 + ".",
        key_version=2**31 - 1,
        principal="." + escaped * 254 + ".",
        provider_reference="." + escaped * 9999,
        status=OperationStatus.FAILED,
    )
    data = encode_entry(entry)
    assert MAX_RECORD_SIZE * 0.85 < len(data) <= MAX_RECORD_SIZE


def test_bytes_that_are_not_the_canonical_form_are_refused(make_entry: Make) -> None:
    data = encode_entry(make_entry())
    document = json.loads(data)
    variants = [
        b"",
        b"{}",
        b"\xff\xfe",
        data + b" ",
        data.replace(b'":', b'": ', 1),
        json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        data.replace(b'"v":1', b'"v":2'),
        data.replace(b'"tester"', b'"\\u0074ester"'),
        data.replace(b'{"backend_id"', b'{"backend_id":"x","backend_id"'),
        data.replace(b'"tester"', b'"' + b"t" * 9000 + b'"'),
        data.replace(b'"key_version":1', b'"key_version":0'),
    ]
    for variant in variants:
        assert variant != data
        with pytest.raises(IntegrityError):
            decode_record(variant)


def test_a_stored_record_that_breaks_a_rule_of_the_model_is_an_integrity_error(make_entry: Make) -> None:
    entry = make_entry()
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    for change in ({"backend_id": "../x"}, {"status": OperationStatus.FAILED}, {"principal": "  "}):
        record = decode_record(msgspec.json.encode(AuditRecord(**(fields | change))))
        with pytest.raises(IntegrityError, match=str(entry.operation_id)):
            operation_of(record, INSTANCE)


def test_times_are_exact_to_the_microsecond_in_any_zone() -> None:
    moment = datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert to_microseconds(moment) == int(moment.timestamp()) * 10**6 + 678901
    with pytest.raises(InvalidArgument, match="since"):
        to_microseconds(datetime(2026, 1, 1), "since")  # noqa: DTZ001  the point of the test
