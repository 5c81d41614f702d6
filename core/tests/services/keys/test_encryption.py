"""What a ciphertext is bound to, what becomes of it when the key changes meanwhile, and how much memory it takes."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import BackendUnavailable, Conflict, DecryptionFailed

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced

MESSAGE = b"what is encrypted"
MIB = 1 << 20
VERSION_AT = slice(21, 25)


def statuses(clave: Keyclave, operation: str) -> list[str]:
    return [record.status for record in clave.audit.records() if record.operation_type == operation]


@pytest.mark.parametrize("version", [0, 2, 3, 0xFFFFFFFF])
def test_a_ciphertext_is_bound_to_the_version_that_made_it(clave: Keyclave, version: int) -> None:
    clave.keys.create("k", "AES_256")
    changed = bytearray(clave.keys.encrypt("k", MESSAGE))
    assert changed[VERSION_AT] == bytes([0, 0, 0, 1])
    clave.rotation.rotate("k")
    changed[VERSION_AT] = version.to_bytes(4)
    with pytest.raises(DecryptionFailed):
        clave.keys.decrypt("k", bytes(changed))


def test_a_ciphertext_under_a_version_that_was_replaced_meanwhile_is_dropped(clave: Keyclave, reopen: Reopen) -> None:
    clave.keys.create("k", "AES_256")
    other = reopen()

    def rotate_meanwhile(real: Callable[..., Any], *arguments: Any) -> Any:
        other.rotation.rotate("k")
        return real(*arguments)

    with replaced(clave, "encrypt", rotate_meanwhile):
        with pytest.raises(Conflict, match="the result was dropped"):
            clave.keys.encrypt_stream("k", io.BytesIO(MESSAGE), io.BytesIO())
        assert statuses(clave, "ENCRYPT") == ["FAILED"]
        with pytest.raises(Conflict, match="the result was dropped"):
            clave.keys.encrypt("k", MESSAGE)  # the key changes while it is tried again, too
    assert statuses(clave, "ENCRYPT") == ["FAILED"] * 3
    assert clave.keys.decrypt("k", clave.keys.encrypt("k", MESSAGE)) == MESSAGE


def test_a_message_is_encrypted_again_under_the_version_that_took_over(clave: Keyclave, reopen: Reopen) -> None:
    clave.keys.create("k", "AES_256")
    assert clave.keys.encrypt("k", MESSAGE)[VERSION_AT] == bytes([0, 0, 0, 1])
    reopen().rotation.rotate("k")
    ciphertext = clave.keys.encrypt("k", MESSAGE)
    assert ciphertext[VERSION_AT] == bytes([0, 0, 0, 2])
    assert statuses(clave, "ENCRYPT")[-1] == "SUCCESS"
    assert clave.keys.decrypt("k", ciphertext) == MESSAGE


def test_what_was_bound_for_one_key_opens_nothing_of_another(clave: Keyclave) -> None:
    for name in ("k", "another"):
        clave.keys.create(name, "AES_256")
    mine, foreign = clave.keys.encrypt("k", MESSAGE), clave.keys.encrypt("another", MESSAGE)
    assert clave.keys.decrypt("k", mine) == MESSAGE
    with pytest.raises(DecryptionFailed):
        clave.keys.decrypt("k", foreign)


def test_a_plaintext_of_a_key_that_was_revoked_meanwhile_is_dropped(clave: Keyclave, reopen: Reopen) -> None:
    clave.keys.create("k", "AES_256")
    ciphertext, other = clave.keys.encrypt("k", MESSAGE), reopen()

    def revoke_meanwhile(real: Callable[..., Any], *arguments: Any) -> Any:
        opened = real(*arguments)
        other.keys.revoke("k", "stolen")
        return opened

    with replaced(clave, "decrypt", revoke_meanwhile), pytest.raises(Conflict, match="the result was dropped"):
        clave.keys.decrypt("k", ciphertext)
    assert statuses(clave, "DECRYPT") == ["FAILED"]


def test_a_change_of_another_key_is_no_reason_to_drop_anything(clave: Keyclave, reopen: Reopen) -> None:
    clave.keys.create("k", "AES_256")
    ciphertext, other = clave.keys.encrypt("k", MESSAGE), reopen()

    def create_meanwhile(real: Callable[..., Any], *arguments: Any) -> Any:
        other.keys.create("another", "ED25519")
        return real(*arguments)

    with replaced(clave, "decrypt", create_meanwhile):
        assert clave.keys.decrypt("k", ciphertext) == MESSAGE


def test_a_backend_that_is_away_is_not_called_a_wrong_ciphertext(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256")
    ciphertext = clave.keys.encrypt("k", MESSAGE)
    with failing(clave, "decrypt", BackendUnavailable("unplugged")), pytest.raises(BackendUnavailable):
        clave.keys.decrypt("k", ciphertext)
    assert clave.keys.decrypt("k", ciphertext) == MESSAGE


def test_a_large_file_takes_no_more_memory_than_a_few_segments(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "AES_256")
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    with plain.open("wb") as sparse:
        sparse.truncate(64 * MIB)
    most = []
    for convert, source, target in (
        (clave.keys.encrypt_stream, plain, sealed),
        (clave.keys.decrypt_stream, sealed, opened),
    ):
        with source.open("rb") as reader, target.open("wb") as writer:
            tracemalloc.start()
            try:
                convert("k", reader, writer)
                most.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert max(most) < 8 * MIB
    assert (sealed.stat().st_size > 64 * MIB, opened.stat().st_size) == (True, 64 * MIB)
