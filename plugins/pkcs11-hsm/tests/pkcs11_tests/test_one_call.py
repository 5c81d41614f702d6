"""Keys move through tokens that have CKM_RSA_AES_KEY_WRAP, and no AES-KWP to do its second step alone.

No token that the tests can install has it. So the proxy presents it, and lets SoftHSM2 do the two steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from keyclave.crypto.wrapping import generate_wrapping_key, unwrap_key, wrap_key
from keyclave.errors import BackendUnavailable, CapabilityUnsupported, InvalidArgument, KeyclaveError, KeyNotFound
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256, ImportKeyRequest, WrappedKey
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11_tests.backends import NewLabel, Open, create, move, require_signatures
from pkcs11_tests.proxy import EVERY_CALL, Proxy
from pydantic import SecretBytes

from tests.services.tokens import Token

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc")]

ALGORITHMS = ["RSA_2048", "ECDSA_P384", "AES_256"]
BOTH = int(MechanismFlag.WRAP | MechanismFlag.UNWRAP)
SPKI = generate_wrapping_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def one_call(proxy: Proxy, proxied: Token, open_backend: Open) -> Pkcs11Backend:
    proxy.one_call(BOTH)
    return open_backend(proxied)


@pytest.fixture
def two_steps(proxy: Proxy, softhsm_tokens: dict[str, Token], open_backend: Open) -> Pkcs11Backend:
    """Another token behind the same module, which `Proxy.reset` makes one of two steps."""
    return open_backend(replace(softhsm_tokens["other"], module=proxy.path))


def passing_objects(backend: Pkcs11Backend) -> int:
    """Return how many objects the sessions have that are not the token's."""
    return backend._pool.run(lambda session: len(list(session.raw.get_objects({Attribute.TOKEN: False}))))


def require_usable(backend: Pkcs11Backend, moved: Any) -> None:
    if moved.public_key is not None:
        require_signatures(backend, moved.reference, moved.public_key)
        return
    ciphertext = backend.encrypt(key=moved.reference, plaintext=b"data key", aad=b"").ciphertext
    assert backend.decrypt(key=moved.reference, ciphertext=ciphertext, aad=b"").plaintext == b"data key"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_call_of_the_proxy_and_software(
    software: Any, one_call: Pkcs11Backend, new_label: NewLabel, algorithm: str
) -> None:
    original = create(one_call, new_label(), algorithm, exportable=True)
    outside = move(one_call, software, original.reference, new_label, exportable=True)
    back = move(software, one_call, outside.reference, new_label, exportable=False)
    assert original.public_key == outside.public_key == back.public_key
    assert not back.exportable
    require_usable(one_call, back)
    assert passing_objects(one_call) == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_from_one_call_of_the_proxy_to_two_steps(
    one_call: Pkcs11Backend, two_steps: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, algorithm: str
) -> None:
    original = create(one_call, new_label(), algorithm, exportable=True)
    proxy.reset()
    request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False)
    ticket = two_steps.begin_import(request=request)
    proxy.one_call(BOTH)
    wrapped = one_call.wrap_key(
        key=original.reference, wrapping_public_key=ticket.wrapping_public_key, method=ticket.method
    )
    proxy.reset()
    moved = two_steps.import_key(ticket=ticket, wrapped=wrapped)
    assert moved.public_key == original.public_key
    require_usable(two_steps, moved)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_from_two_steps_to_one_call_of_the_proxy(
    one_call: Pkcs11Backend, two_steps: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, algorithm: str
) -> None:
    request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False)
    ticket = one_call.begin_import(request=request)
    proxy.reset()
    original = create(two_steps, new_label(), algorithm, exportable=True)
    wrapped = two_steps.wrap_key(
        key=original.reference, wrapping_public_key=ticket.wrapping_public_key, method=ticket.method
    )
    proxy.one_call(BOTH)
    moved = one_call.import_key(ticket=ticket, wrapped=wrapped)
    assert moved.public_key == original.public_key
    require_usable(one_call, moved)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_the_token_unwraps_as_a_readable_one_is_kept_as_it_must_be(
    software: Any, one_call: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, algorithm: str
) -> None:
    proxy.readable()
    original = create(software, new_label(), algorithm, exportable=True)
    for exportable in (True, False):
        moved = move(software, one_call, original.reference, new_label, exportable=exportable)
        assert moved.exportable is exportable
        require_usable(one_call, moved)


def test_a_key_that_stays_readable_is_refused(
    software: Any, one_call: Pkcs11Backend, proxy: Proxy, new_label: NewLabel
) -> None:
    proxy.readable()
    proxy.answer("SetAttributeValue", 0x10, times=EVERY_CALL)
    original = create(software, new_label(), "ECDSA_P256", exportable=True)
    with pytest.raises(InvalidArgument, match="cannot be unwrapped"):
        move(software, one_call, original.reference, new_label, exportable=False)
    assert one_call.list_keys(page=None).keys == ()
    assert passing_objects(one_call) == 0


def test_a_key_is_wrapped_in_one_call(one_call: Pkcs11Backend, proxy: Proxy, new_label: NewLabel) -> None:
    key = create(one_call, new_label(), "ECDSA_P256", exportable=True).reference
    one_call.wrap_key(key=key, wrapping_public_key=SPKI, method=RSA_AES_KEY_WRAP_SHA1)  # with the trial
    before = proxy.calls("WrapKey"), proxy.calls("GenerateKey")
    one_call.wrap_key(key=key, wrapping_public_key=SPKI, method=RSA_AES_KEY_WRAP_SHA1)
    # One for the length, and one for the bytes, as python-pkcs11 asks; and no AES key that Keyclave made.
    assert (proxy.calls("WrapKey"), proxy.calls("GenerateKey")) == (before[0] + 2, before[1])


@pytest.mark.parametrize("flag", [MechanismFlag.WRAP, MechanismFlag.UNWRAP, MechanismFlag.ENCRYPT])
def test_a_mechanism_is_used_for_what_its_flags_say(
    proxy: Proxy, proxied: Token, open_backend: Open, new_label: NewLabel, flag: MechanismFlag
) -> None:
    proxy.one_call(int(flag))
    backend = open_backend(proxied)
    key = create(backend, new_label(), "ECDSA_P256", exportable=True).reference
    request = ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False)

    def wrap() -> object:
        return backend.wrap_key(key=key, wrapping_public_key=SPKI, method=RSA_AES_KEY_WRAP_SHA1)

    def begin() -> object:
        return backend.begin_import(request=request)

    for use, needed in ((wrap, MechanismFlag.WRAP), (begin, MechanismFlag.UNWRAP)):
        if flag is needed:
            assert use()
        else:
            with pytest.raises(CapabilityUnsupported, match="RFC 5649"):
                use()


def test_a_token_that_lists_it_and_cannot_do_it_takes_two_steps(
    software: Any, proxy: Proxy, proxied: Token, open_backend: Open, new_label: NewLabel
) -> None:
    proxy.one_call(BOTH, works=False)
    backend = open_backend(proxied)
    original = create(backend, new_label(), "ECDSA_P256", exportable=True)
    outside = move(backend, software, original.reference, new_label, exportable=True)
    back = move(software, backend, outside.reference, new_label, exportable=False)
    require_usable(backend, back)


def test_a_hash_that_the_token_does_not_have_is_refused(one_call: Pkcs11Backend, new_label: NewLabel) -> None:
    key = create(one_call, new_label(), "ECDSA_P256", exportable=True).reference
    for method in (RSA_AES_KEY_WRAP_SHA256, "ROT_13"):
        with pytest.raises(CapabilityUnsupported):
            one_call.wrap_key(key=key, wrapping_public_key=SPKI, method=method)
        request = ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False, method=method)
        with pytest.raises(CapabilityUnsupported, match=method):
            one_call.begin_import(request=request)
    assert passing_objects(one_call) == 0


@pytest.mark.parametrize(
    "answer",
    [
        (0x05, BackendUnavailable, "CKR_GENERAL_ERROR"),
        (0x32, BackendUnavailable, "CKR_DEVICE_REMOVED"),
        (0x69, CapabilityUnsupported, "does not release this key"),
        (0x6A, CapabilityUnsupported, "does not release this key"),
        (0x70, CapabilityUnsupported, "CKR_MECHANISM_INVALID"),
        (0x71, CapabilityUnsupported, "CKR_MECHANISM_PARAM_INVALID"),
        (0x114, CapabilityUnsupported, "CKR_WRAPPING_KEY_SIZE_RANGE"),
    ],
)
def test_what_the_token_answers_to_a_wrap_is_told_and_leaves_nothing(
    one_call: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, answer: tuple[int, type[KeyclaveError], str]
) -> None:
    ckr, error, words = answer
    key = create(one_call, new_label(), "ECDSA_P256", exportable=True).reference
    one_call.wrap_key(key=key, wrapping_public_key=SPKI, method=RSA_AES_KEY_WRAP_SHA1)  # with the trial
    proxy.answer("WrapKey", ckr, times=EVERY_CALL)
    with pytest.raises(error, match=words):
        one_call.wrap_key(key=key, wrapping_public_key=SPKI, method=RSA_AES_KEY_WRAP_SHA1)
    assert passing_objects(one_call) == 0


# The first call looks at the key, and the second keeps it.
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize(
    "answer",
    [
        (0x05, InvalidArgument),
        (0x32, BackendUnavailable),
        (0x71, InvalidArgument),
        (0x110, InvalidArgument),
        (0x112, InvalidArgument),
        (0xF2, InvalidArgument),
    ],
)
def test_what_the_token_answers_to_an_unwrap_is_told_and_leaves_nothing(
    one_call: Pkcs11Backend, proxy: Proxy, new_label: NewLabel, first: int, answer: tuple[int, type[KeyclaveError]]
) -> None:
    ckr, error = answer
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    request = ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False)
    ticket = one_call.begin_import(request=request)
    blob = wrap_key(SecretBytes(secret), ticket.wrapping_public_key, ticket.method)
    proxy.answer("UnwrapKey", ckr, first=first)
    with pytest.raises(error):
        one_call.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
    assert passing_objects(one_call) == 0
    with pytest.raises(KeyNotFound):
        one_call.find_key(label=request.label)


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "AES_256"])
def test_a_blob_that_holds_no_such_key_is_refused_and_leaves_nothing(
    one_call: Pkcs11Backend, new_label: NewLabel, algorithm: str
) -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for change in (lambda blob: blob, lambda blob: blob[:-8], lambda blob: blob[:384], lambda blob: bytes(len(blob))):
        request = ImportKeyRequest(label=new_label(), algorithm=algorithm, exportable=False)
        ticket = one_call.begin_import(request=request)
        blob = change(wrap_key(SecretBytes(other), ticket.wrapping_public_key, ticket.method))
        with pytest.raises(InvalidArgument, match="wrapped key"):
            one_call.import_key(ticket=ticket, wrapped=WrappedKey(method=ticket.method, blob=blob))
        assert passing_objects(one_call) == 0
    assert one_call.list_keys(page=None).keys == ()


def test_software_unwraps_what_one_call_of_the_proxy_wrapped(one_call: Pkcs11Backend, new_label: NewLabel) -> None:
    key = create(one_call, new_label(), "AES_256", exportable=True).reference
    ciphertext = one_call.encrypt(key=key, plaintext=b"data key", aad=b"").ciphertext
    receiver = rsa.generate_private_key(65537, 4096)
    spki = receiver.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    blob = one_call.wrap_key(key=key, wrapping_public_key=spki, method=RSA_AES_KEY_WRAP_SHA1).blob
    assert len(blob) == 512 + 40
    secret = unwrap_key(blob, receiver, RSA_AES_KEY_WRAP_SHA1).get_secret_value()
    assert AESGCM(secret).decrypt(ciphertext[1:13], ciphertext[13:], b"\x01") == b"data key"
