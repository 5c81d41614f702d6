"""Keys that somebody else made in the token: adopted, used, given back and destroyed, and never relabelled."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    IntegrityError,
    InvalidArgument,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import get_algorithm, is_provider_uri
from keyclave.plugin import AdoptKeyRequest, DestroyState, KeyReference
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from msgspec.structs import replace
from pkcs11.constants import Attribute, ObjectClass
from pkcs11_tests.backends import NewLabel, Open, create, require_signatures
from pkcs11_tests.foreign import IDENTIFIER, Theirs, adopt, named, objects_named, session_of

from core.tests.plugin_files.limits import longest_file
from tests.services.tokens import Token

pytestmark = pytest.mark.needs("softhsm")

ALGORITHMS = ["RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "AES_256"]


@pytest.fixture
def hsm(open_backend: Open, softhsm_token: Token) -> Pkcs11Backend:
    return open_backend(softhsm_token)


@pytest.fixture
def theirs(hsm: Pkcs11Backend, new_label: NewLabel) -> Iterator[Theirs]:
    """What others have in the token; it is removed when the test is over."""
    theirs = Theirs(hsm, new_label)
    yield theirs
    theirs.remove()


@pytest.fixture
def reopen(open_backend: Open, softhsm_token: Token) -> Open:
    """Open the token once more, as another process would."""
    return partial(open_backend, softhsm_token)


_fsync = os.fsync


def fails_for_directories(descriptor: int) -> None:
    """Do as a disk that fails when the name of a file is to be made durable."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    _fsync(descriptor)


def destroy(backend: Pkcs11Backend, key: KeyReference) -> object:
    return backend.destroy_key(key=key)


def find(backend: Pkcs11Backend, key: KeyReference) -> object:
    return backend.find_key(label=key.label)


def read(backend: Pkcs11Backend, key: KeyReference) -> object:
    return backend.public_key(key=key)


def use(backend: Pkcs11Backend, key: KeyReference) -> object:
    if get_algorithm(key.algorithm).signs:
        return backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    return backend.encrypt(key=key, plaintext=b"data key", aad=b"")


def records(directory: Path) -> list[Path]:
    return list((directory / "data" / "adopted").glob("*"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_others_is_listed_adopted_used_and_destroyed(
    hsm: Pkcs11Backend, reopen: Open, theirs: Theirs, algorithm: str, tmp_path: Path
) -> None:
    theirs.make(algorithm)
    (key,) = theirs.listed()
    assert (key.algorithm, key.description) == (algorithm, f"CKA_LABEL {theirs.name!r}, CKA_ID 01ff")
    assert is_provider_uri(key.uri, "pkcs11-hsm")
    label = theirs.new_label()
    made = adopt(hsm, key, label)
    assert made.reference == KeyReference(label=label, uri=key.uri, algorithm=algorithm)
    assert (made.public_key, made.exportable, made.hsm_backed) == (key.public_key, False, False)
    assert any("It was adopted" in sentence for sentence in made.evidence)
    assert any("CKA_LOCAL" in sentence for sentence in made.evidence)
    assert adopt(hsm, key, label) == made
    assert theirs.listed() == []
    again = reopen()
    for backend in (hsm, again):
        assert backend.find_key(label=label) == made.reference
        assert backend.list_keys(page=None).keys == (made.reference,)
        if made.public_key is None:
            ciphertext = backend.encrypt(key=made.reference, plaintext=b"data key", aad=b"a").ciphertext
            assert hsm.decrypt(key=made.reference, ciphertext=ciphertext, aad=b"a").plaintext == b"data key"
        else:
            assert backend.public_key(key=made.reference).spki == made.public_key
            require_signatures(backend, made.reference, made.public_key)
    with session_of(hsm) as session:
        assert {each[Attribute.ID] for each in objects_named(session, theirs.name)} == {IDENTIFIER}
    for _ in range(2):
        assert again.destroy_key(key=made.reference).state is DestroyState.DESTROYED
    with session_of(hsm) as session:
        assert objects_named(session, theirs.name) == []
    for backend in (hsm, again):
        assert backend.list_keys(page=None).keys == ()
        with pytest.raises(KeyNotFound):
            backend.find_key(label=label)
    assert records(tmp_path) == []


def test_keys_of_keyclave_are_no_keys_of_others(hsm: Pkcs11Backend, reopen: Open, new_label: NewLabel) -> None:
    other = reopen(context={"instance_id": uuid4()})
    theirs = create(other, replace(new_label(), instance_id=other._instance_id), "ECDSA_P256").reference
    ours = create(hsm, new_label(), "ECDSA_P256").reference
    assert not {theirs.uri, ours.uri} & {key.uri for key in hsm.list_foreign_keys(page=None).keys}
    for key in (theirs, ours):
        with pytest.raises(Conflict, match="Keyclave's already"):
            hsm.adopt_key(request=AdoptKeyRequest(label=new_label(), uri=key.uri, algorithm=key.algorithm))
    with pytest.raises(InvalidArgument, match="page"):
        hsm.list_foreign_keys(page="1")


def test_what_cannot_be_adopted_is_refused(hsm: Pkcs11Backend, theirs: Theirs, tmp_path: Path) -> None:
    theirs.make()
    (key,) = theirs.listed()
    for uri, error in ((key.uri.replace("%FF", "%FE"), KeyNotFound), ("pkcs11:token=x", InvalidArgument)):
        with pytest.raises(error):
            adopt(hsm, replace(key, uri=uri), theirs.new_label())
    with pytest.raises(CapabilityUnsupported, match="of algorithm ECDSA_P256"):
        adopt(hsm, replace(key, algorithm="RSA_2048"), theirs.new_label())
    assert records(tmp_path) == []
    label = theirs.new_label()
    adopt(hsm, key, label)
    with pytest.raises(Conflict, match="Keyclave's already"):
        adopt(hsm, key, theirs.new_label())
    with pytest.raises(Conflict, match="another key"):
        adopt(hsm, replace(key, uri=key.uri.replace("%FF", "%FE")), label)
    with pytest.raises(KeyAlreadyExists, match="adopted"):
        create(hsm, label, "ECDSA_P256")
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize(
    ("algorithm", "changed", "said"),
    [
        ("ECDSA_P256", {"EXTRACTABLE": True}, "CKA_EXTRACTABLE must be false"),
        ("AES_256", {"EXTRACTABLE": True}, "CKA_EXTRACTABLE must be false"),
        ("RSA_2048", {"SENSITIVE": False}, "CKA_SENSITIVE must be true"),
        ("ECDSA_P256", {"PRIVATE": False}, "CKA_PRIVATE must be true"),
        ("RSA_2048", {"DECRYPT": True, "UNWRAP": True}, "CKA_DECRYPT must be false; CKA_UNWRAP must be false"),
        ("ECDSA_P256", {"DERIVE": True}, "CKA_DERIVE must be false"),
        ("AES_256", {"WRAP": True}, "CKA_WRAP must be false"),
    ],
)
def test_a_key_that_is_not_as_it_must_be_is_refused_and_says_why(
    theirs: Theirs, algorithm: str, changed: dict[str, bool], said: str, tmp_path: Path
) -> None:
    theirs.make(algorithm, None, **changed)
    (key,) = theirs.listed()
    assert f"cannot be adopted: {said}" in key.description
    with pytest.raises(CapabilityUnsupported, match=said) as caught:
        adopt(theirs.backend, key, theirs.new_label())
    assert "tool of the token's maker" in str(caught.value.next_step)
    assert records(tmp_path) == []


def test_a_key_that_changes_after_it_was_adopted_is_not_used(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    key = theirs.adopted()
    with session_of(hsm) as session:
        (private,) = objects_named(session, theirs.name, ObjectClass.PRIVATE_KEY)
        private[Attribute.DECRYPT] = True
    for hook in (use, find):
        with pytest.raises(IntegrityError, match="CKA_DECRYPT"):
            hook(hsm, key)


def test_a_private_key_without_its_public_half_is_refused(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    with session_of(hsm) as session:
        objects_named(session, theirs.name, ObjectClass.PUBLIC_KEY)[0].destroy()
    (key,) = theirs.listed()
    assert key.public_key is None
    with pytest.raises(CapabilityUnsupported, match="public key object"):
        adopt(hsm, key, theirs.new_label())


def test_keys_of_one_id_are_told_apart_by_their_labels(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    other = f"{theirs.name} 2"
    theirs.make()
    theirs.make(name=other)
    (one,), (two,) = theirs.listed(), named(hsm, other)
    first, second = adopt(hsm, one, theirs.new_label()), adopt(hsm, two, theirs.new_label())
    assert first.public_key != second.public_key
    for made in (first, second):
        assert made.public_key is not None
        require_signatures(hsm, made.reference, made.public_key)
    hsm.destroy_key(key=first.reference)
    assert second.public_key is not None
    require_signatures(hsm, second.reference, second.public_key)
    hsm.destroy_key(key=second.reference)
    with session_of(hsm) as session:
        assert objects_named(session, other) == []


def test_keys_of_one_id_and_one_label_are_refused(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    key = theirs.adopted()
    theirs.make()
    (ambiguous,) = theirs.listed()
    assert ambiguous.public_key is None
    with pytest.raises(CapabilityUnsupported, match="another key has its CKA_ID and CKA_LABEL"):
        adopt(hsm, ambiguous, theirs.new_label())
    for hook in (use, destroy):
        with pytest.raises(IntegrityError, match="several keys"):
            hook(hsm, key)
    with session_of(hsm) as session:
        assert len(objects_named(session, theirs.name)) == 4


def test_a_key_pair_and_a_secret_key_may_share_both(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    theirs.make("AES_256")
    pair, secret = (adopt(hsm, key, theirs.new_label()).reference for key in theirs.listed())
    for key in (pair, secret):
        use(hsm, key)
        hsm.destroy_key(key=key)


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "AES_256"])
def test_a_forgotten_key_is_foreign_again(hsm: Pkcs11Backend, reopen: Open, theirs: Theirs, algorithm: str) -> None:
    theirs.make(algorithm)
    (listed,) = theirs.listed()
    key = adopt(hsm, listed, theirs.new_label()).reference
    other = reopen()
    for backend in (hsm, other):
        use(backend, key)
    hsm.forget_key(key=replace(key, uri=key.uri.replace("%FF", "%FE")))
    use(hsm, key)
    for _ in range(2):
        hsm.forget_key(key=key)
    assert theirs.listed(other) == [listed]
    for backend in (hsm, other):
        for _ in range(2):
            with pytest.raises(KeyNotFound):
                use(backend, key)
        with pytest.raises(KeyNotFound):
            backend.destroy_key(key=key)
    use(hsm, adopt(other, listed, theirs.new_label()).reference)
    with pytest.raises(KeyNotFound):
        use(hsm, key)


def test_a_key_that_was_created_is_not_forgotten(hsm: Pkcs11Backend, new_label: NewLabel) -> None:
    key = create(hsm, new_label(), "ECDSA_P256").reference
    with pytest.raises(InvalidArgument, match="created or imported"):
        hsm.forget_key(key=key)
    use(hsm, key)
    hsm.destroy_key(key=key)
    hsm.forget_key(key=key)


def test_a_key_that_its_owners_destroy_is_gone(hsm: Pkcs11Backend, theirs: Theirs, tmp_path: Path) -> None:
    theirs.make()
    key = theirs.adopted()
    use(hsm, key)
    with session_of(hsm) as session:
        for each in objects_named(session, theirs.name):
            each.destroy()
    for hook in (use, find, read):
        with pytest.raises(KeyNotFound):
            hook(hsm, key)
    assert hsm.list_keys(page=None).keys == ()
    assert hsm.destroy_key(key=key).state is DestroyState.DESTROYED
    assert records(tmp_path) == []


def test_a_key_in_the_place_of_an_adopted_one_is_neither_used_nor_destroyed(
    hsm: Pkcs11Backend, reopen: Open, theirs: Theirs
) -> None:
    theirs.make()
    key = theirs.adopted()
    with session_of(hsm) as session:
        for each in objects_named(session, theirs.name):
            each.destroy()
    theirs.make()
    other = reopen()
    for hook, backend in ((use, hsm), (use, other), (destroy, hsm)):
        with pytest.raises(IntegrityError, match="not the one"):
            hook(backend, key)
    (listed,) = theirs.listed()
    use(hsm, adopt(hsm, listed, theirs.new_label()).reference)


def test_an_adopted_key_is_not_released(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    key = theirs.adopted()
    (spki,) = {create(hsm, theirs.new_label(), "RSA_3072").public_key}
    with pytest.raises(CapabilityUnsupported, match="not exportable"):
        hsm.wrap_key(key=key, wrapping_public_key=spki or b"", method="RSA_AES_KEY_WRAP_SHA1")


def test_a_token_that_is_read_only_has_keys_to_adopt(hsm: Pkcs11Backend, reopen: Open, theirs: Theirs) -> None:
    theirs.make()
    reader = reopen(read_only=True)
    key = theirs.adopted(reader)
    use(reader, key)
    with pytest.raises(CapabilityUnsupported, match="reading only"):
        reader.destroy_key(key=key)
    reader.forget_key(key=key)
    assert len(theirs.listed()) == 1


def test_an_address_of_another_key_is_refused(hsm: Pkcs11Backend, theirs: Theirs) -> None:
    theirs.make()
    key = theirs.adopted()
    created = create(hsm, theirs.new_label(), "ECDSA_P256").reference
    use(hsm, created)
    use(hsm, key)
    for wrong in (
        replace(key, uri=created.uri),
        replace(created, uri=key.uri),
        replace(key, label=theirs.new_label()),
    ):
        for hook in (use, destroy):
            with pytest.raises((InvalidArgument, KeyNotFound)):
                hook(hsm, wrong)
    for good in (key, created):
        use(hsm, good)


@pytest.mark.parametrize(
    "change", ["other label", "other field", "no hex", "no JSON", "readable by others", "other name"]
)
def test_a_record_that_was_changed_is_refused(
    hsm: Pkcs11Backend, theirs: Theirs, change: str, tmp_path: Path
) -> None:
    theirs.make()
    key = theirs.adopted()
    (path,) = records(tmp_path)
    content = json.loads(path.read_text())
    assert sorted(content) == ["cka_id", "cka_label", "label", "spki_sha256"]
    assert path.stat().st_mode & 0o777 == 0o600
    changed = {
        "other label": json.dumps(content | {"label": str(theirs.new_label())}),
        "other field": json.dumps(content | {"more": 1}),
        "no hex": json.dumps(content | {"cka_id": "xyz"}),
        "no JSON": "{",
    }
    if change in changed:
        path.write_text(changed[change])
    elif change == "other name":
        path.rename(path.with_name("keyclave-what.json"))
        with pytest.raises(IntegrityError, match="was changed"):
            hsm.list_keys(page=None)
        return
    else:
        path.chmod(0o644)
    for hook in (lambda: hsm.find_key(label=key.label), lambda: hsm.list_keys(page=None)):
        with pytest.raises(KeyclaveError, match=r"was changed|lets group or others in"):
            hook()


def test_a_record_that_cannot_be_kept_adopts_nothing(hsm: Pkcs11Backend, theirs: Theirs, tmp_path: Path) -> None:
    theirs.make()
    with longest_file(20), pytest.raises(BackendUnavailable, match="File too large"):
        theirs.adopted()
    assert len(theirs.listed()) == 1


def test_what_a_killed_adoption_left_is_removed_when_the_token_is_opened(
    hsm: Pkcs11Backend, reopen: Open, theirs: Theirs, tmp_path: Path
) -> None:
    theirs.make()
    key = theirs.adopted()
    (path,) = records(tmp_path)
    draft = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    draft.write_bytes(path.read_bytes()[:10])
    assert hsm.find_key(label=key.label) == key
    assert draft.exists()
    assert reopen().find_key(label=key.label) == key
    assert not draft.exists()
    assert records(tmp_path) == [path]


def test_a_record_that_may_be_lost_is_an_unknown_outcome(
    hsm: Pkcs11Backend, theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.make()
    hsm.forget_key(key=theirs.adopted())
    (listed,) = theirs.listed()
    label = theirs.new_label()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails_for_directories)
        with pytest.raises(OutcomeUnknown, match="not be durable: Input/output error"):
            adopt(hsm, listed, label)
        with pytest.raises(OutcomeUnknown, match="not be durable: Input/output error"):
            adopt(hsm, listed, label)
        with pytest.raises(OutcomeUnknown, match="still be there: Input/output error"):
            hsm.forget_key(key=KeyReference(label=label, uri=listed.uri, algorithm=listed.algorithm))
    key = adopt(hsm, listed, label).reference
    use(hsm, key)
    hsm.forget_key(key=key)
    assert theirs.listed() == [listed]


def test_of_two_who_adopt_a_key_one_gets_it(reopen: Open, theirs: Theirs) -> None:
    theirs.make()
    (listed,) = theirs.listed()
    backends = [reopen(), reopen()]

    def try_to_adopt(backend: Pkcs11Backend) -> object:
        try:
            return adopt(backend, listed, theirs.new_label()).reference
        except Conflict as error:
            return error.message

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(try_to_adopt, backends * 2))
    assert found.count("the key is a Keyclave's already") == 3
    (key,) = (each for each in found if isinstance(each, KeyReference))
    for backend in backends:
        use(backend, key)
