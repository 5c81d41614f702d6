"""The peer of the PKCS#11 benchmark: securesystemslib's HSMSigner, with the protocol of ``pkcs11_loop.c``."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key


def main() -> None:
    """Sign as often as each line says, and answer with the seconds that took."""
    token, pin, identifier, spki = sys.argv[1:]
    peer: Any = importlib.import_module("securesystemslib.signer")  # only where benchmarks are run
    public_key = peer.SSlibKey.from_crypto(load_der_public_key(bytes.fromhex(spki)), scheme="ecdsa-sha2-nistp256")
    signer = peer.HSMSigner(int(identifier, 16), public_key, lambda _: pin, token)
    public_key.verify_signature(signer.sign(b"message"), b"message")
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            signer.sign(b"message")
        sys.stdout.write(f"{time.perf_counter() - started:.9f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
