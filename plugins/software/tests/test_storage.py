"""What the file system refuses, in the words of Keyclave."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from keyclave.errors import BackendUnavailable, CapabilityUnsupported, OutcomeUnknown
from keyclave.plugin import CreateKeyRequest, ImportKeyRequest
from keyclave_software.backend import SoftwareBackend
from keyclave_software.material import supported_algorithms
from keyclave_software.storage import load

from core.tests.plugin_files.limits import longest_file
from plugins.software.tests.conftest import KeyFile, NewKey, NewLabel, Open

needs_posix = pytest.mark.skipif(os.name != "posix", reason="the file system is made to refuse the POSIX way")


@needs_posix
def test_a_key_that_cannot_be_written_is_not_there(backend: SoftwareBackend, new_label: NewLabel) -> None:
    request = CreateKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    with longest_file(100), pytest.raises(BackendUnavailable, match="File too large"):
        backend.create_key(request=request)
    assert backend.list_keys(page=None).keys == ()
    backend.create_key(request=request)


@needs_posix
def test_a_key_whose_directory_entry_may_be_lost_is_an_unknown_outcome(
    backend: SoftwareBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail_for_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    request = CreateKeyRequest(label=new_label(), algorithm="ED25519", exportable=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_for_directories)
        with pytest.raises(OutcomeUnknown, match="not durably: Input/output error"):
            backend.create_key(request=request)
    assert backend.find_key(label=request.label) == backend.create_key(request=request).reference


@needs_posix
def test_a_key_that_cannot_be_changed_keeps_working(backend: SoftwareBackend, new_key: NewKey) -> None:
    key = new_key().reference
    with longest_file(100), pytest.raises(OutcomeUnknown, match="File too large"):
        backend.disable_key(key=key)
    backend.sign(key=key, data=b"message", scheme="ED25519")


@needs_posix
def test_a_key_that_cannot_be_removed_is_an_unknown_outcome(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile
) -> None:
    created = new_key()
    key_file(created).unlink()
    key_file(created).mkdir()
    with pytest.raises(OutcomeUnknown, match="may still be there"):
        backend.destroy_key(key=created.reference)


def test_a_lost_directory_makes_the_backend_unavailable(backend: SoftwareBackend, data_directory: Path) -> None:
    shutil.rmtree(data_directory)
    with pytest.raises(BackendUnavailable, match="cannot be read: No such file"):
        backend.list_keys(page=None)


@needs_posix
def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="cannot be read: File name too long"):
        load(tmp_path / ("x" * 300), 100)


def test_a_key_destroyed_while_keys_are_listed_is_left_out(
    backend: SoftwareBackend, open_backend: Open, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, destroyed = new_key().reference, new_key().reference
    names = backend._keystore.names

    def destroy_after(after: str, limit: int) -> list[str]:
        found = names(after, limit)
        open_backend().destroy_key(key=destroyed)
        return found

    monkeypatch.setattr(backend._keystore, "names", destroy_after)
    assert backend.list_keys(page=None).keys == (kept,)


def test_where_cryptography_has_no_ml_dsa_it_is_not_offered(
    backend: SoftwareBackend, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise UnsupportedAlgorithm("not here")

    monkeypatch.setattr(mldsa.MLDSA65PrivateKey, "generate", refuse)
    supported_algorithms.cache_clear()
    try:
        assert "ML_DSA_65" not in {each.algorithm for each in backend.describe().algorithms}
        label = new_label()
        with pytest.raises(CapabilityUnsupported, match="ML_DSA_65"):
            backend.create_key(request=CreateKeyRequest(label=label, algorithm="ML_DSA_65", exportable=False))
        with pytest.raises(CapabilityUnsupported, match="ML_DSA_65"):
            backend.begin_import(request=ImportKeyRequest(label=label, algorithm="ML_DSA_65", exportable=False))
    finally:
        supported_algorithms.cache_clear()
