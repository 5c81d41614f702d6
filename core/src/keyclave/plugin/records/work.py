"""What keys make."""

from __future__ import annotations

from keyclave.plugin.records.base import Record

__all__ = ["Decrypted", "Encrypted", "Mac", "Signed"]


class Signed(Record, frozen=True, kw_only=True):
    """A signature.

    Attributes:
        signature: in the encoding that ``describe()`` declares for the scheme.
        provider_reference: the provider's own reference to the call, such as a request id.
    """

    signature: bytes
    provider_reference: str | None = None


class Encrypted(Record, frozen=True, kw_only=True):
    """A ciphertext that the same backend can decrypt, including whatever nonce and tag it needs.

    Attributes:
        ciphertext: the backend's own format.
        provider_reference: the provider's own reference to the call.
    """

    ciphertext: bytes
    provider_reference: str | None = None


class Decrypted(Record, frozen=True, kw_only=True):
    """A plaintext. Its representation shows no content.

    Attributes:
        plaintext: the decrypted bytes.
        provider_reference: the provider's own reference to the call.
    """

    plaintext: bytes
    provider_reference: str | None = None

    def __repr__(self) -> str:
        return f"Decrypted(plaintext=<{len(self.plaintext)} bytes>)"


class Mac(Record, frozen=True, kw_only=True):
    """A message authentication code.

    Attributes:
        tag: the code.
        provider_reference: the provider's own reference to the call.
    """

    tag: bytes
    provider_reference: str | None = None
