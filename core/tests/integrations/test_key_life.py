"""What a key goes through while libraries hold it: records, rotation, revocation."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave import Keyclave
from keyclave.errors import Conflict, InvalidArgument, KeyDisabled

from core.tests.integrations.certificates import name

MESSAGE = b"The message that every key signs."


def records(clave: Keyclave) -> list[Any]:
    return [(r.operation_type, r.status, r.key_version, r.error_message) for r in clave.audit.records()][1:]


def request(key: Any) -> Any:
    return x509.CertificateSigningRequestBuilder().subject_name(name("x")).sign(key, hashes.SHA256())


def test_every_signature_and_every_refused_scheme_is_recorded(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    key = clave.keys.private_key("k")
    assert records(clave) == []
    request(key)
    key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert records(clave) == [("SIGN", "SUCCESS", 1, None)] * 2
    with pytest.raises(InvalidArgument):
        key.sign(MESSAGE, ec.ECDSA(hashes.SHA384()))
    (last,) = records(clave)[2:]
    assert last[:2] == ("SIGN", "FAILED")
    assert "cannot sign with ECDSA_SHA384" in str(last[3])
    assert clave.audit.verify().ok


def test_the_version_that_was_active_signs_and_no_other(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    old = clave.keys.private_key("k")
    request(old)
    clave.rotation.rotate("k")
    with pytest.raises(Conflict, match="version 1 no longer signs, version 2 does") as caught:
        request(old)
    assert "Get the private key again" in caught.value.next_step
    new = clave.keys.private_key("k")
    assert new.public_key() != old.public_key()
    made = request(new)
    assert made.is_signature_valid
    assert made.public_key() == clave.keys.public_key("k", 2)


def test_a_revoked_key_signs_nothing(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    before = clave.keys.private_key("k")
    clave.keys.revoke("k", "the laptop was stolen")
    for key in (before, clave.keys.private_key("k")):
        with pytest.raises(KeyDisabled, match="REVOKED"):
            request(key)
    assert [record[:2] for record in records(clave)] == [("REVOKE", "SUCCESS"), *[("SIGN", "FAILED")] * 2]
