"""What the right backends of the zoo offer: few algorithms so that it is fast, and one of what each check needs."""

from __future__ import annotations

from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import BackendDescription
from msgspec import structs

__all__ = ["SCHEMES", "cut", "require"]

SCHEMES = {
    "RSA_2048": ("RSA_PSS_SHA256", "RSA_PKCS1_SHA256"),
    "ECDSA_P256": ("ECDSA_SHA256",),
    "ED25519": ("ED25519",),
    "AES_256": (),
}


def cut(whole: BackendDescription) -> BackendDescription:
    """Return a description without the algorithms and schemes that are not among `SCHEMES`."""
    return structs.replace(
        whole,
        algorithms=tuple(
            structs.replace(
                support, schemes=tuple(s for s in support.schemes if s.scheme in SCHEMES[support.algorithm])
            )
            for support in whole.algorithms
            if support.algorithm in SCHEMES
        ),
    )


def require(described: bool) -> None:  # noqa: FBT001  its name says what it is
    """Refuse what is not described."""
    if not described:
        raise CapabilityUnsupported("the description does not hold it")
