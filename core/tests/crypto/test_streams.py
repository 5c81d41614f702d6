from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.crypto.algorithms import bind_digest
from keyclave.crypto.streams import digest_stream
from keyclave.errors import InvalidArgument
from keyclave.models import SIGNATURE_SCHEMES

MIB = 1 << 20
WITH_DIGEST = [scheme for scheme in SIGNATURE_SCHEMES.values() if scheme.digest]


@pytest.mark.parametrize("scheme", WITH_DIGEST, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1])
def test_the_digest_of_a_file_is_that_of_its_content(scheme: Any, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    made = digest_stream(scheme.name, io.BytesIO(content[:size]))
    assert made == hashlib.new(scheme.digest, content[:size]).digest() == bind_digest(scheme.name)(content[:size])


class _Trickle(io.RawIOBase):
    """A source that gives what it likes, as sockets do."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20))
@settings(max_examples=30)
def test_short_reads_change_nothing(pieces: list[bytes]) -> None:
    source: Any = _Trickle(pieces)
    assert digest_stream("ECDSA_SHA256", source) == hashlib.sha256(b"".join(pieces)).digest()


def test_reading_starts_where_the_file_stands_and_leaves_it_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"header and body")
    with (tmp_path / "file").open("rb") as source:
        source.seek(7)
        assert digest_stream("ECDSA_SHA256", source) == hashlib.sha256(b"and body").digest()
        assert source.tell() == 15


def test_a_large_file_is_hashed_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as sparse:
        sparse.truncate(64 * MIB)
    with path.open("rb") as source:
        tracemalloc.start()
        try:
            made = digest_stream("ECDSA_SHA256", source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * MIB
    with path.open("rb") as source:
        assert made == hashlib.file_digest(source, "sha256").digest()


@pytest.mark.parametrize("scheme", ["ED25519", "ML_DSA_65"])
def test_a_scheme_that_takes_the_whole_message_is_refused_before_reading(scheme: str) -> None:
    source = io.BytesIO(b"message")
    with pytest.raises(InvalidArgument, match="signs messages, not digests"):
        digest_stream(scheme, source)
    assert source.tell() == 0


def test_a_file_in_text_mode_is_refused() -> None:
    source: Any = io.StringIO("message")
    with pytest.raises(InvalidArgument, match="binary mode") as caught:
        digest_stream("ECDSA_SHA256", source)
    assert '"rb"' in caught.value.next_step


@pytest.mark.skipif(os.name != "posix", reason="Windows has no non-blocking pipes")
def test_a_source_that_does_not_block_is_refused() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    with open(read, "rb", buffering=0) as source, open(write, "wb") as target:  # noqa: PTH123  descriptors
        target.write(b"the beginning")
        target.flush()
        unbuffered: Any = source
        with pytest.raises(InvalidArgument, match="blocking"):
            digest_stream("ECDSA_SHA256", unbuffered)


def test_an_error_of_the_source_reaches_the_caller(tmp_path: Path) -> None:
    class _Failing(_Trickle):
        def read(self, size: int = -1) -> bytes:
            if not self._pieces:
                raise OSError("disk on fire")
            return super().read(size)

    source: Any = _Failing([b"some"])
    with pytest.raises(OSError, match="disk on fire"):
        digest_stream("ECDSA_SHA256", source)
