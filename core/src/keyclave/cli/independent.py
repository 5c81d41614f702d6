"""Somebody other than Keyclave who verifies an ECDSA signature: the ``openssl`` program, or ``cryptography``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from keyclave.errors import InvalidSignature, VerificationError

__all__ = ["IndependentVerifier", "find_verifier"]

_TIMEOUT = 60.0


class IndependentVerifier(Protocol):
    """Verifies with nothing of Keyclave.

    Attributes:
        name: who it is.
    """

    name: str

    def code(self, public_key: str, signature: str, file: str) -> str:
        """Return what it does, as somebody would type it."""

    def verify(self, public_key: Path, signature: Path, file: Path) -> None:
        """Verify an ECDSA signature (DER) with SHA-256 over a file, under a public key in PEM.

        Raises:
            InvalidSignature: it is wrong.
            VerificationError: it could not be checked.
        """


class _OpenSSL:
    def __init__(self, program: str, version: str) -> None:
        self.name = f"the openssl program ({version})"
        self._program = program

    def code(self, public_key: str, signature: str, file: str) -> str:
        return f"$ openssl dgst -sha256 -verify {public_key} -signature {signature} {file}"

    def verify(self, public_key: Path, signature: Path, file: Path) -> None:
        files = {"-verify": public_key, "-signature": signature}
        options = (text for option, path in files.items() for text in (option, str(path)))
        command = (self._program, "dgst", "-sha256", *options, str(file.absolute()))
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT)  # noqa: S603  no shell
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is None:
            raise VerificationError("the openssl program does not answer")
        if done.returncode != 0:
            raise InvalidSignature("the openssl program refuses the signature")


class _Cryptography:
    name = "the cryptography library (there is no openssl program)"

    def code(self, public_key: str, signature: str, file: str) -> str:
        return f"load_pem_public_key({public_key}).verify({signature}, {file}, ec.ECDSA(SHA256()))"

    def verify(self, public_key: Path, signature: Path, file: Path) -> None:
        from cryptography import exceptions  # noqa: PLC0415  not needed for --help
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415  as above
        from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415  as above

        key = serialization.load_pem_public_key(public_key.read_bytes())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise VerificationError("the public key is not an elliptic curve key")
        digest = hashes.Hash(hashes.SHA256())
        with file.open("rb") as data:
            while piece := data.read(1 << 20):
                digest.update(piece)
        try:
            key.verify(signature.read_bytes(), digest.finalize(), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except exceptions.InvalidSignature:
            raise InvalidSignature("the cryptography library refuses the signature") from None


def find_verifier() -> IndependentVerifier:
    """Return the ``openssl`` program if there is one that runs, and ``cryptography`` otherwise."""
    program = shutil.which("openssl")
    if program is not None:
        try:
            done = subprocess.run([program, "version"], capture_output=True, check=True, timeout=_TIMEOUT)  # noqa: S603  no shell
        except (OSError, subprocess.SubprocessError):
            return _Cryptography()
        return _OpenSSL(program, " ".join(done.stdout.decode(errors="replace").split()[:2]))
    return _Cryptography()
