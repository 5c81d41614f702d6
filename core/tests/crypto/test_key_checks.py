from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keyclave.crypto.ed25519_checks import check_point
from keyclave.crypto.key_checks import check_private_key, check_public_key
from keyclave.errors import InvalidArgument
from keyclave.models import ALGORITHMS

Keys = Callable[..., Any]
SIGNING = [name for name, algorithm in ALGORITHMS.items() if algorithm.signs]
P = 2**255 - 19
D = 37095705934669439343138083508754565189542113879843219016388785533085940283555


def spki_of(private: Any) -> bytes:
    return bytes(
        private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize("wanted", SIGNING)
@pytest.mark.parametrize("found", ["RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "ML_DSA_65"])
def test_a_key_passes_for_its_own_algorithm_only(found: str, wanted: str, private_key: Keys) -> None:
    private = private_key(found)
    if found == wanted:
        check_public_key(spki_of(private), wanted)
        check_private_key(private, wanted)
        return
    with pytest.raises(InvalidArgument, match=f"of algorithm {found}, not {wanted}"):
        check_public_key(spki_of(private), wanted)
    with pytest.raises(InvalidArgument, match=f"of algorithm {found}, not {wanted}"):
        check_private_key(private, wanted)


@pytest.mark.parametrize("name", ["AES_256", "ECDSA_P521", "", "ecdsa_p256"])
def test_a_name_of_no_key_pair_is_refused(name: str, private_key: Keys) -> None:
    with pytest.raises(InvalidArgument):
        check_public_key(spki_of(private_key("ECDSA_P256")), name)
    with pytest.raises(InvalidArgument):
        check_private_key(private_key("ECDSA_P256"), name)


def test_a_point_off_the_curve_is_refused(private_key: Keys) -> None:
    for algorithm in ("ECDSA_P256", "ECDSA_P384"):
        spki = bytearray(spki_of(private_key(algorithm)))
        spki[-1] ^= 1
        with pytest.raises(InvalidArgument):
            check_public_key(bytes(spki), algorithm)


def test_the_point_at_infinity_is_refused() -> None:
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    with pytest.raises(InvalidArgument):
        check_public_key(b"\x30\x19" + algorithm + b"\x03\x02\x00\x00", "ECDSA_P256")


class _Mixed(ec.EllipticCurvePrivateKey):
    """The private half of one key with the public half of another."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> None:
        self._private, self._public = private, public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._private.curve

    @property
    def key_size(self) -> int:
        return self._private.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        return self._private.sign(data, signature_algorithm)

    def exchange(self, algorithm: Any, peer_public_key: Any) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> Any:
        raise NotImplementedError

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002  pyca's name
        raise NotImplementedError

    def __copy__(self) -> ec.EllipticCurvePrivateKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> ec.EllipticCurvePrivateKey:
        return self


def test_halves_of_two_keys_are_refused(private_key: Keys) -> None:
    one, other = private_key("ECDSA_P256"), private_key("ECDSA_P256", 1)
    check_private_key(_Mixed(one, one.public_key()), "ECDSA_P256")
    with pytest.raises(InvalidArgument, match="do not belong together") as caught:
        check_private_key(_Mixed(one, other.public_key()), "ECDSA_P256")
    assert caught.value.__context__ is None


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=50)
def test_every_generated_ed25519_key_is_a_good_point(seed: bytes) -> None:
    check_point(ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def has_square_root(value: int) -> bool:
    """By finding the root, as RFC 8032 (section 5.1.3) does, not by Euler's criterion."""
    root = pow(value, (P + 3) // 8, P)
    return value % P in {root * root % P, -root * root % P}


@given(st.integers(2, P - 2))
@example(55_188_659_117_513_257_062_467_267_217_118_295_137_698_188_065_244_968_500_265_048_394_206_261_417_927)
@settings(max_examples=50)
def test_a_coordinate_is_accepted_exactly_if_the_curve_has_it(y: int) -> None:
    assert D * 121666 % P == P - 121665
    on_curve = has_square_root((y * y - 1) * pow(D * y * y + 1, -1, P))
    encoded = y.to_bytes(32, "little")
    if on_curve and encoded.hex() not in SMALL_ORDER.values():
        check_point(encoded)
    else:
        with pytest.raises(InvalidArgument, match="small order" if on_curve else "not a point"):
            check_point(encoded)


@pytest.mark.parametrize("y", [P, P + 1, P + 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_coordinate_that_is_not_reduced_is_refused(y: int, sign: int) -> None:
    with pytest.raises(InvalidArgument, match="not a point"):
        check_point((y | sign << 255).to_bytes(32, "little"))


SMALL_ORDER = {
    "order 1": "0100000000000000000000000000000000000000000000000000000000000000",
    "order 2": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "order 4": "0000000000000000000000000000000000000000000000000000000000000000",
    "order 4, negative": "0000000000000000000000000000000000000000000000000000000000000080",
    "order 8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 8, negative": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "order 8, other": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "order 8, other, negative": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
}


def verifies(key: ed25519.Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_point_of_small_order_is_refused_since_anybody_can_sign_under_it(point: str) -> None:
    encoded = bytes.fromhex(point)
    key = ed25519.Ed25519PublicKey.from_public_bytes(encoded)
    forged = b"\x01" + bytes(63)
    assert any(verifies(key, forged, str(i).encode()) for i in range(500))
    with pytest.raises(InvalidArgument, match="small order"):
        check_point(encoded)
    with pytest.raises(InvalidArgument, match="small order"):
        check_public_key(bytes.fromhex("302a300506032b6570032100") + encoded, "ED25519")
