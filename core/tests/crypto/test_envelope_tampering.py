"""Envelopes open for their key and associated data, and for nothing else: one error, one text."""

from __future__ import annotations

import io
import os

import pytest
from keyclave.crypto import envelope_header
from keyclave.crypto.envelope import (
    decrypt_stream,
    encrypt_bytes,
    parse_header,
    read_header,
)
from keyclave.errors import BackendUnavailable, DecryptionFailed, InvalidArgument, KeyDisabled
from pydantic import SecretBytes

from core.tests.crypto.envelopes import (
    KEY_ID,
    MIB,
    SEALED,
    Backend,
    Careless,
    Open,
    flipped,
    from_bytes,
    from_stream,
    raiser,
    refuses,
    seal,
    three_segments,
)


@pytest.fixture(params=[Backend, Careless])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


@pytest.fixture(params=[from_bytes, from_stream], ids=["bytes", "stream"])
def opened(request: pytest.FixtureRequest) -> Open:
    way: Open = request.param
    return way


def test_no_flipped_bit_of_the_header_goes_unnoticed(backend: Backend, opened: Open) -> None:
    envelope = seal(backend, b"message", b"aad")
    for at in range(4, parse_header(envelope).size):
        for bit in range(8):
            refuses(opened, backend, flipped(envelope, at, bit), b"aad")


def test_no_flipped_bit_of_a_short_segment_goes_unnoticed(opened: Open) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    for at in range(parse_header(envelope).size, len(envelope)):
        for bit in range(8):
            refuses(opened, backend, flipped(envelope, at, bit))


def test_a_changed_magic_is_no_envelope(opened: Open) -> None:
    envelope = seal(Careless(), b"message")
    for at in range(4):
        with pytest.raises(InvalidArgument, match="not a Keyclave ciphertext"):
            opened(Careless(), flipped(envelope, at, 0))


@pytest.mark.parametrize("blob", [b"", b"K", b"KCE", b"hello, world", b"-----BEGIN PGP MESSAGE-----" * 9])
def test_what_is_no_envelope_is_said_to_be_none(opened: Open, blob: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not a Keyclave ciphertext"):
        opened(Careless(), blob)


def test_every_truncation_of_a_short_envelope_is_noticed(backend: Backend, opened: Open) -> None:
    envelope = seal(backend, b"message")
    for size in range(4, len(envelope)):
        refuses(opened, backend, envelope[:size])


@pytest.mark.parametrize("wrong", [None, b"", b"invoice 8", b"invoice 7\x00", b"nvoice 7"])
def test_other_associated_data_are_refused(backend: Backend, opened: Open, wrong: bytes | None) -> None:
    refuses(opened, backend, seal(backend, b"message", b"invoice 7"), wrong)


def test_associated_data_are_not_shifted_into_the_header(opened: Open) -> None:
    backend = Careless()
    envelope = seal(backend, b"message", b"associated")
    header = parse_header(envelope)
    salt_at = 27 + len(header.wrapped_key)
    moved = b"".join(
        (envelope[:25], (len(header.wrapped_key) + 1).to_bytes(2, "big"), envelope[27 : salt_at + 71], b"a")
    )
    refuses(opened, backend, moved + envelope[header.size :], b"ssociated")


def test_another_key_is_refused(opened: Open) -> None:
    refuses(opened, Backend(), seal(Backend(), b"message"))


def test_another_data_key_is_refused_before_any_segment_is_tried() -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    header = parse_header(envelope)
    backend.data_key = SecretBytes(os.urandom(32))
    target = io.BytesIO()
    with pytest.raises(DecryptionFailed):
        decrypt_stream(io.BytesIO(envelope[header.size :]), target, header, unwrap_data_key=backend.unwrap)
    assert target.getvalue() == b""


@pytest.mark.parametrize("data_key", [b"", bytes(16), bytes(31), bytes(33)])
def test_a_data_key_of_another_size_is_refused(opened: Open, data_key: bytes) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    backend.data_key = SecretBytes(data_key)
    refuses(opened, backend, envelope)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, id="".join(map(str, order)) or "none")
        for order in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2], [1, 0, 2], [0, 0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2])
    ],
)
def test_segments_cannot_be_left_out_swapped_or_repeated(opened: Open, order: list[int]) -> None:
    backend, header, segments = three_segments()
    assert len(opened(backend, header + b"".join(segments))) == 2 * MIB + 100
    refuses(opened, backend, header + b"".join(segments[index] for index in order))


@pytest.mark.parametrize("extension", [b"\x00", bytes(16), bytes(17), bytes(SEALED)])
def test_nothing_can_be_appended(opened: Open, extension: bytes) -> None:
    backend, header, segments = three_segments()
    refuses(opened, backend, header + b"".join(segments) + extension)


def test_a_full_last_segment_cannot_be_extended_or_cut(opened: Open) -> None:
    backend = Careless()
    envelope = seal(backend, bytes(2 * MIB))
    refuses(opened, backend, envelope + bytes(16))
    refuses(opened, backend, envelope[:-SEALED])
    assert opened(backend, envelope) == bytes(2 * MIB)


def test_a_segment_of_another_message_is_refused(opened: Open) -> None:
    backend, header, segments = three_segments()
    other = encrypt_bytes(
        bytes(2 * MIB + 100), key_id=KEY_ID, version=2, wrap_data_key=lambda key, _: backend.wrap(key, b"")
    )
    body = other[parse_header(other).size :]
    refuses(opened, backend, header + segments[0] + body[SEALED:])


def test_a_stream_releases_authentic_segments_only() -> None:
    backend, header, segments = three_segments()
    changed = flipped(segments[1], 5, 0)
    source, target = io.BytesIO(header + segments[0] + changed + segments[2]), io.BytesIO()
    with pytest.raises(DecryptionFailed):
        decrypt_stream(source, target, read_header(source), unwrap_data_key=backend.unwrap)
    assert len(target.getvalue()) == MIB


@pytest.mark.parametrize("suite", [0, 2, 255])
def test_an_unknown_suite_is_refused(opened: Open, suite: int) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    refuses(opened, backend, envelope[:4] + bytes([suite]) + envelope[5:])


def test_version_zero_and_impossible_wrapped_sizes_are_refused(opened: Open) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    refuses(opened, backend, envelope[:21] + bytes(4) + envelope[25:])
    for size in (0, 8193, 65535):
        refuses(opened, backend, envelope[:25] + size.to_bytes(2, "big") + envelope[27:] + bytes(70_000))


@pytest.mark.parametrize("error", [DecryptionFailed("wrong tag"), InvalidArgument("20 bytes is no data key")])
def test_what_a_backend_says_of_the_data_key_is_not_passed_on(opened: Open, error: Exception) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    backend.unwrap = raiser(error)  # type: ignore[method-assign]  # the backend that refuses
    refuses(opened, backend, envelope)


@pytest.mark.parametrize("error", [BackendUnavailable("no answer"), KeyDisabled("revoked")])
def test_other_errors_of_a_backend_pass_through(opened: Open, error: Exception) -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    backend.unwrap = raiser(error)  # type: ignore[method-assign]  # the backend that is away
    with pytest.raises(type(error)) as caught:
        opened(backend, envelope)
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        encrypt_bytes(b"", key_id=KEY_ID, version=1, wrap_data_key=raiser(error))
    assert caught.value is error


def test_no_traceback_of_a_failure_holds_the_data_key() -> None:
    backend = Careless()
    envelope = seal(backend, b"message")
    canary = os.urandom(32)
    backend.data_key = SecretBytes(canary)
    with pytest.raises(DecryptionFailed) as caught:
        from_bytes(backend, envelope)
    frames, trace = [], caught.value.__traceback__
    while trace:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    package = os.path.dirname(envelope_header.__file__)  # noqa: PTH120  code objects hold text paths
    held = [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename.startswith(package)]
    assert held
    assert all(repr(canary) not in text for text in held)
