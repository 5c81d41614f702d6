"""What the mechanisms that wrap under an RSA key are told: the hash of OAEP, and the length of the AES key between.

python-pkcs11 has neither the name nor the parameters of CKM_RSA_AES_KEY_WRAP. It passes on parameters that it gets as
bytes, and an enumeration takes another number as the standard library's own flags do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256
from pkcs11.mechanisms import MGF, Mechanism

from keyclave_pkcs11_hsm.functions import Structure

__all__ = ["RSA_AES_KEY_WRAP", "oaep_parameters", "rsa_aes_parameters"]

_OAEP = {
    RSA_AES_KEY_WRAP_SHA256: (Mechanism.SHA256, MGF.SHA256, None),
    RSA_AES_KEY_WRAP_SHA1: (Mechanism.SHA_1, MGF.SHA1, None),
}
_CKZ_DATA_SPECIFIED = 1
_AES_BITS = 256


def _unnamed(name: str, value: int) -> Mechanism:
    mechanism = int.__new__(Mechanism, value)
    mechanism._name_, mechanism._value_ = name, value
    return mechanism


RSA_AES_KEY_WRAP = _unnamed("RSA_AES_KEY_WRAP", 0x1054)
"""Both steps of RSA-AES key wrap in a single call (PKCS#11 2.40, section 2.1.22 of its mechanisms)."""


class _OaepParameters(Structure):
    _fields_ = (
        ("hash_algorithm", ctypes.c_ulong),
        ("mask", ctypes.c_ulong),
        ("source", ctypes.c_ulong),
        ("source_data", ctypes.c_void_p),
        ("source_length", ctypes.c_ulong),
    )


class _RsaAesParameters(Structure):
    _fields_ = (("aes_bits", ctypes.c_ulong), ("oaep", ctypes.c_void_p))


def oaep_parameters(method: str) -> tuple[Mechanism, MGF, None]:
    """Return the parameters of CKM_RSA_PKCS_OAEP for a method of `keyclave.plugin`.

    Raises:
        CapabilityUnsupported: there is no such method.
    """
    if method not in _OAEP:
        raise CapabilityUnsupported(f"keys cannot be wrapped by the method {method!r}")
    return _OAEP[method]


@contextmanager
def rsa_aes_parameters(method: str) -> Iterator[bytes]:
    """Yield the parameters of CKM_RSA_AES_KEY_WRAP for a method, which are good inside the block alone.

    They hold the address of OAEP's parameters, which this keeps.

    Raises:
        CapabilityUnsupported: there is no such method.
    """
    hash_algorithm, mask, _ = oaep_parameters(method)
    oaep = _OaepParameters(hash_algorithm, mask, _CKZ_DATA_SPECIFIED, None, 0)
    yield bytes(_RsaAesParameters(_AES_BITS, ctypes.addressof(oaep)))
