"""Keys made, found, listed, used and destroyed, in both tokens; what a token cannot do is unsupported, and said."""

from __future__ import annotations

import resource
from uuid import uuid4

import pytest
from keyclave.errors import (
    CapabilityUnsupported,
    DecryptionFailed,
    IntegrityError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
)
from keyclave.models import ALGORITHMS, SecurityLevel, get_algorithm, get_signature_scheme, is_provider_uri
from keyclave.plugin import CreateKeyRequest, DestroyState, KeyLabel, KeyReference
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from msgspec.structs import replace
from pkcs11.constants import Attribute, ObjectClass
from pkcs11_tests.backends import NewLabel, Open, create, require_signatures, sign_and_verify

from tests.services.tokens import Token

UNABLE = {"nss": {"ED25519", "AES_256", "ML_DSA_65"}, "softhsm": {"ML_DSA_65"}}


def use(backend: Pkcs11Backend, key: KeyReference) -> object:
    algorithm = get_algorithm(key.algorithm)
    if not algorithm.signs:
        return backend.encrypt(key=key, plaintext=b"data key", aad=b"")
    scheme = get_signature_scheme(algorithm.schemes[0])
    return backend.sign(key=key, data=bytes(scheme.digest_size), scheme=scheme.name)


@pytest.mark.needs("softhsm")
def test_a_key_of_another_token_is_not_taken_for_destroyed(
    open_backend: Open, softhsm_tokens: dict[str, Token], new_label: NewLabel
) -> None:
    main, other = open_backend(softhsm_tokens["main"]), open_backend(softhsm_tokens["other"])
    key = create(main, new_label(), "ECDSA_P256").reference
    with pytest.raises(IntegrityError, match="which says nothing of it") as raised:
        other.destroy_key(key=key)
    assert "name the token of the key again" in raised.value.next_step
    assert main.find_key(label=key.label) == key
    for _ in range(2):  # the second time it is gone from the token that it was in
        assert main.destroy_key(key=key).state is DestroyState.DESTROYED


@pytest.mark.parametrize("kind", ["kept", "exportable"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_made_used_found_listed_and_destroyed(
    backend: Pkcs11Backend, token: Token, new_label: NewLabel, algorithm: str, kind: str
) -> None:
    exportable = kind == "exportable"
    if algorithm in UNABLE["nss" if token.parameters else "softhsm"]:
        with pytest.raises(CapabilityUnsupported, match=algorithm):
            create(backend, new_label(), algorithm, exportable=exportable)
        return
    created = create(backend, new_label(), algorithm, exportable=exportable)
    key = created.reference
    assert (created.exportable, created.hsm_backed) == (exportable, False)
    assert is_provider_uri(key.uri, "pkcs11-hsm")
    assert backend.find_key(label=key.label) == key
    assert backend.list_keys(page=None).keys == (key,)
    if get_algorithm(algorithm).signs:
        assert created.public_key is not None
        assert backend.public_key(key=key).spki == created.public_key
        require_signatures(backend, key, created.public_key)
    else:
        ciphertext = backend.encrypt(key=key, plaintext=b"data key", aad=b"context").ciphertext
        assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"context").plaintext == b"data key"
    for _ in range(2):
        assert backend.destroy_key(key=key).state is DestroyState.DESTROYED
    assert backend.list_keys(page=None).keys == ()
    with pytest.raises(KeyNotFound):
        backend.find_key(label=key.label)
    with pytest.raises(KeyNotFound):
        use(backend, key)


def test_a_second_creation_returns_the_key_of_the_first(backend: Pkcs11Backend, new_label: NewLabel) -> None:
    label = new_label()
    assert create(backend, label, "ECDSA_P256") == create(backend, label, "ECDSA_P256")
    with pytest.raises(KeyAlreadyExists, match="exportable"):
        create(backend, label, "ECDSA_P256", exportable=True)
    with pytest.raises(KeyAlreadyExists, match="of algorithm ECDSA_P256"):
        create(backend, label, "ECDSA_P384")
    assert len(backend.list_keys(page=None).keys) == 1


def test_a_key_that_was_made_elsewhere_is_invisible(
    backend: Pkcs11Backend, open_backend: Open, token: Token, new_label: NewLabel
) -> None:
    other = open_backend(token, context={"instance_id": uuid4()})
    other_label = replace(new_label(), instance_id=other._instance_id)
    create(other, other_label, "ECDSA_P256")
    with pytest.raises(KeyNotFound):
        backend.find_key(label=new_label())
    assert backend.list_keys(page=None).keys == ()
    assert [key.label for key in other.list_keys(page=None).keys] == [other_label]
    other.destroy_key(key=other.find_key(label=other_label))


def test_a_reference_that_is_not_ours_is_refused(backend: Pkcs11Backend, new_label: NewLabel) -> None:
    one, other = (create(backend, new_label(), "ECDSA_P256").reference for _ in range(2))
    wrong = replace(one, label=other.label)
    for use in (
        lambda: backend.sign(key=wrong, data=bytes(32), scheme="ECDSA_SHA256"),
        lambda: backend.public_key(key=wrong),
        lambda: backend.destroy_key(key=wrong),
    ):
        with pytest.raises(InvalidArgument, match="does not belong to its label"):
            use()
    with pytest.raises(InvalidArgument, match="of algorithm ECDSA_P256, not RSA_2048"):
        backend.public_key(key=replace(one, algorithm="RSA_2048"))
    with pytest.raises(CapabilityUnsupported, match="cannot encrypt"):
        backend.encrypt(key=one, plaintext=b"", aad=b"")
    with pytest.raises(CapabilityUnsupported, match="does not sign with"):
        backend.sign(key=one, data=bytes(48), scheme="ECDSA_SHA384")
    with pytest.raises(InvalidArgument, match="page"):
        backend.list_keys(page="1")


def test_private_and_public_half_are_as_they_must_be(backend: Pkcs11Backend, new_label: NewLabel) -> None:
    label = new_label()
    create(backend, label, "RSA_2048")
    session = backend._pool.take()
    named = {Attribute.LABEL: str(label)}
    (private,) = session.raw.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, **named})
    (public,) = session.raw.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, **named})
    backend._pool.give(session)
    on = {attribute for attribute in ("SENSITIVE", "PRIVATE", "TOKEN", "SIGN") if private[Attribute[attribute]]}
    off = [
        private[Attribute[attribute]] for attribute in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE", "SIGN_RECOVER")
    ]
    assert on == {"SENSITIVE", "PRIVATE", "TOKEN", "SIGN"}
    assert not any(off)
    assert public[Attribute.VERIFY]
    assert not public[Attribute.WRAP]
    assert not public[Attribute.ENCRYPT]


@pytest.mark.needs("softhsm")
def test_nothing_but_its_ciphertext_is_decrypted(
    open_backend: Open, softhsm_token: Token, new_label: NewLabel
) -> None:
    backend = open_backend(softhsm_token)
    key, other = (create(backend, new_label(), "AES_256").reference for _ in range(2))
    ciphertext = backend.encrypt(key=key, plaintext=b"data key", aad=b"context").ciphertext
    assert ciphertext != backend.encrypt(key=key, plaintext=b"data key", aad=b"context").ciphertext
    changed = [ciphertext[:n] + bytes([ciphertext[n] ^ 1]) + ciphertext[n + 1 :] for n in range(len(ciphertext))]
    cut = [ciphertext[:n] for n in range(len(ciphertext))]
    for wrong in (*changed, *cut, ciphertext + b"\0", bytes(5000)):
        with pytest.raises(DecryptionFailed):
            backend.decrypt(key=key, ciphertext=wrong, aad=b"context")
    for used, aad in ((key, b""), (key, b"other"), (other, b"context")):
        with pytest.raises(DecryptionFailed):
            backend.decrypt(key=used, ciphertext=ciphertext, aad=aad)
    assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"context").plaintext == b"data key"
    with pytest.raises(InvalidArgument, match="4096"):
        backend.encrypt(key=key, plaintext=bytes(4097), aad=b"")
    with pytest.raises(CapabilityUnsupported, match="no public key"):
        backend.public_key(key=key)


@pytest.mark.parametrize("length", [0, 1, 100_000])
@pytest.mark.needs("softhsm")
def test_ed25519_signs_messages_of_any_length(
    open_backend: Open, softhsm_token: Token, new_label: NewLabel, length: int
) -> None:
    backend = open_backend(softhsm_token)
    created = create(backend, new_label(), "ED25519")
    assert created.public_key is not None
    sign_and_verify(backend, created.reference, created.public_key, "ED25519", bytes(length))


def test_many_keys_are_listed_in_a_stable_order(backend: Pkcs11Backend, new_label: NewLabel) -> None:
    labels = sorted((new_label() for _ in range(25)), key=str)
    references = [create(backend, label, "ECDSA_P256").reference for label in reversed(labels)]
    assert list(backend.list_keys(page=None).keys) == references[::-1]
    for key in references:
        backend.destroy_key(key=key)


def test_its_level_is_software_with_evidence(backend: Pkcs11Backend) -> None:
    description = backend.describe()
    assert description.security_level is SecurityLevel.SOFTWARE
    assert any("known to be software" in sentence for sentence in description.evidence)
    assert description.connection_uri is not None
    assert description.connection_uri.startswith("pkcs11:token=")


def test_a_key_in_a_token_has_half_of_what_makes_it_whole(backend: Pkcs11Backend, new_label: NewLabel) -> None:
    label = new_label()
    key = create(backend, label, "ECDSA_P256").reference
    session = backend._pool.take()
    (public,) = session.raw.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: str(label)})
    public.destroy()
    backend._pool.give(session)
    with pytest.raises(KeyNotFound):
        backend.find_key(label=label)
    assert backend.list_keys(page=None).keys == ()
    again = create(backend, label, "ECDSA_P256").reference
    assert again.uri != key.uri
    assert isinstance(again, KeyReference)
    assert isinstance(again.label, KeyLabel)
    assert CreateKeyRequest(label=label, algorithm="ECDSA_P256", exportable=False).label == again.label


def test_a_key_that_the_token_could_not_remove_is_not_called_destroyed(
    backend: Pkcs11Backend, new_label: NewLabel
) -> None:
    label = new_label()
    key = create(backend, label, "ECDSA_P256").reference
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # as on a full disk; Python ignores SIGXFSZ
    try:
        state = backend.destroy_key(key=key).state.value
    except KeyclaveError as error:
        state = type(error).__name__
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if state == "destroyed":
        with pytest.raises(KeyNotFound):
            backend.find_key(label=label)
    else:
        assert state in {"OutcomeUnknown", "AccessDenied"}
        backend.destroy_key(key=key)
