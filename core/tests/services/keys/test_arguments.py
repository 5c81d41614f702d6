"""What cannot be a version or a reason is refused before anything is done, and the refusal is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import InvalidArgument, KeyclaveError


@pytest.mark.parametrize("version", [0, -1, 2**31, 2**63, True, 1.0, "1"])
def test_what_is_no_version_number_is_refused(clave: Keyclave, version: Any) -> None:
    clave.keys.create("k", "ED25519")
    for call in (
        lambda: clave.keys.verify("k", b"", b"", version=version),
        lambda: clave.keys.public_key("k", version),
        lambda: clave.keys.destroy("k", version),
    ):
        with pytest.raises(InvalidArgument, match="not a version number"):
            call()
    refused = [(r.operation_type, r.status) for r in clave.audit.records()][1:]
    assert refused == [("VERIFY", "FAILED"), ("DESTROY", "FAILED")]


@pytest.mark.parametrize("reason", ["", " ", None, 5, "x" * 1025, "\udcff"])
def test_what_is_no_reason_does_not_revoke(clave: Keyclave, reason: Any) -> None:
    clave.keys.create("k", "ED25519")
    with pytest.raises(InvalidArgument, match="reason"):
        clave.keys.revoke("k", reason)
    assert clave.keys.get("k").status == "ACTIVE"


@pytest.mark.parametrize("principal", ["", " ", "a ", "\udcff", "a\nb", "x" * 257, 5])
def test_what_no_record_could_name_opens_nothing(tmp_path: Path, principal: Any) -> None:
    config = tmp_path / "keyclave.toml"
    config.write_text(f'[state]\ndirectory = "{tmp_path / "state"}"\n[backends.software]\nplugin = "software"\n')
    with pytest.raises(InvalidArgument, match="not a principal"):
        keyclave.open(config, principal=principal)
    assert not (tmp_path / "state").exists()


def test_an_error_says_what_was_done_with_which_key(clave: Keyclave) -> None:
    clave.keys.create("r", "RSA_2048")
    for call, operation, backend_id in (
        (lambda: clave.keys.sign("r", b"short", prehashed=True), "sign", "software"),
        (lambda: clave.keys.verify("r", b"", b"", scheme="X"), "verify", None),
        (lambda: clave.keys.encrypt("r", b""), "encrypt", None),
        (lambda: clave.keys.create("r", "ED25519"), "create", None),
        (lambda: clave.keys.destroy("r", 1), "destroy", "software"),
    ):
        with pytest.raises(KeyclaveError) as caught:
            call()
        assert (caught.value.operation, caught.value.backend_id, caught.value.key_name) == (
            operation,
            backend_id,
            "r",
        )
    with pytest.raises(InvalidArgument) as refused:
        clave.keys.create("Not A Name", "ED25519")
    assert (refused.value.operation, refused.value.key_name) == ("create", None)


def test_without_audit_an_error_says_as_much(tmp_path: Path) -> None:
    config = tmp_path / "keyclave.toml"
    config.write_text(
        f'[environment]\ntype = "local"\n[environment.audit]\nenabled = false\n'
        f'[state]\ndirectory = "{tmp_path / "state"}"\n[backends.soft]\nplugin = "software"\n'
    )
    with keyclave.open(config) as clave:
        clave.keys.create("r", "RSA_2048")
        clave.keys.create("a", "AES_256")
        for call, said in (
            (lambda: clave.keys.sign("r", b"short", prehashed=True), ("sign", "soft", "r")),
            (lambda: clave.keys.sign("gone", b""), ("sign", None, "gone")),
            (lambda: clave.keys.sign("Not A Name", b""), ("sign", None, None)),
            (lambda: clave.keys.verify("r", b"", b"wrong"), ("verify", None, "r")),
            (lambda: clave.keys.verify("gone", b"", b""), ("verify", None, "gone")),
            (lambda: clave.keys.encrypt("r", b""), ("encrypt", None, "r")),
            (lambda: clave.keys.decrypt("a", b"no ciphertext"), ("decrypt", None, "a")),
            (lambda: clave.keys.get("gone"), ("get", None, "gone")),
            (lambda: clave.keys.public_key("a"), ("public_key", None, "a")),
            (lambda: clave.keys.public_key("r", 2), ("public_key", None, "r")),
            (lambda: clave.keys.private_key("gone"), ("get", None, "gone")),
        ):
            with pytest.raises(KeyclaveError) as caught:
                call()
            assert (caught.value.operation, caught.value.backend_id, caught.value.key_name) == said
