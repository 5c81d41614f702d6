"""Backends that choose the nonces of ECDSA badly."""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from keyclave.plugin import KeyReference, Signed, hookimpl

from tests.zoo.fault import fault
from tests.zoo.faults.sign import private_key
from tests.zoo.software import ZooSoftware


def with_nonce(private: ec.EllipticCurvePrivateKey, digest: bytes, nonce: int) -> bytes:
    """Return the ECDSA signature (FIPS 186-5, section 6.4.1) that a nonce gives: what only a fault may choose."""
    order = private.curve.group_order
    r = ec.derive_private_key(nonce, private.curve).public_key().public_numbers().x % order
    value = int.from_bytes(digest, "big") + r * private.private_numbers().private_value
    return encode_dss_signature(r, pow(nonce, -1, order) * value % order)


class _ChoosesNonces(ZooSoftware):
    def nonce(self, private: ec.EllipticCurvePrivateKey) -> int:
        raise NotImplementedError

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if not scheme.startswith("ECDSA"):
            return super().sign(key, data, scheme)
        private = private_key(self, key)
        return Signed(signature=with_nonce(private, data, self.nonce(private)))


@fault({36: "the same nonce"})
class OneNonceForAllMessages(_ChoosesNonces):
    """Draws the nonce once, when it is opened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.drawn = 1 + secrets.randbelow(2**255)

    def nonce(self, private: ec.EllipticCurvePrivateKey) -> int:
        return self.drawn


@fault({124: r"bit \d+ of 256 has one value in 60 of 60"})
class NonceOfHalfTheLength(_ChoosesNonces):
    """Draws 128 bits of nonce, which look like enough."""

    def nonce(self, private: ec.EllipticCurvePrivateKey) -> int:
        return 1 + secrets.randbits(128)


@fault({124: "bit 255 of 256 has one value in 60 of 60"})
class NonceWithoutItsTopBit(_ChoosesNonces):
    """Draws a nonce below half of the order, so that no reduction is needed."""

    def nonce(self, private: ec.EllipticCurvePrivateKey) -> int:
        return 1 + secrets.randbelow(2**255)


@fault({124: r"bit \d of 256 has one value in \d+ of 1000"}, budget="deep")
class NonceWithALeaningBit(_ChoosesNonces):
    """Draws from a source whose lowest bit is one in two of three nonces."""

    def nonce(self, private: ec.EllipticCurvePrivateKey) -> int:
        drawn = 2 + secrets.randbits(255)
        return drawn | 1 if secrets.randbelow(3) else drawn
