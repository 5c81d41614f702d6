"""Run as a program: 8 threads, 125,000 signatures each, on SoftHSM2; every one is verified by `cryptography`.

``python -m pkcs11_tests.soak [THREADS [SIGNATURES]]``, in the directory above, with the repository on PYTHONPATH.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from keyclave.plugin import CreatedKey, KeyLabel
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from pkcs11_tests.backends import create, sign_and_verify
from pkcs11_tests.worker import open_in_child

from tests.services import softhsm


def sign(backend: Pkcs11Backend, created: CreatedKey, signatures: int, failures: list[str]) -> None:
    """Sign and verify; note what goes wrong, and go on."""
    assert created.public_key is not None
    name = threading.current_thread().name
    for n in range(signatures):
        try:
            sign_and_verify(backend, created.reference, created.public_key, "ECDSA_SHA256", f"{name}/{n}".encode())
        except Exception as error:
            failures.append(f"{name}/{n}: {error!r}")


def soak(directory: Path, threads: int, signatures: int) -> tuple[float, list[str]]:
    """Return the seconds that it took, and every failure."""
    token = softhsm.make_tokens(directory, "soak")["soak"]
    os.environ.update(token.environment)
    instance_id = uuid.uuid4()
    backend = open_in_child(str(token.module), token.label, str(token.pin_file), str(directory / "data"), instance_id)
    label = KeyLabel(instance_id=instance_id, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
    created = create(backend, label, "ECDSA_P256")
    failures: list[str] = []
    workers = [threading.Thread(target=sign, args=(backend, created, signatures, failures)) for _ in range(threads)]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = time.monotonic() - started
    backend.close()
    return taken, failures


def main() -> None:
    """Soak, and say how it went."""
    threads, signatures = (int(argument) for argument in (*sys.argv[1:], "8", "125000")[:2])
    with tempfile.TemporaryDirectory() as directory:
        taken, failures = soak(Path(directory), threads, signatures)
    total = threads * signatures
    sys.stdout.write(
        f"{threads} threads, {total:,} signatures verified in {taken:.0f} s, {total / taken:,.0f}/s,"
        f" {len(failures)} failures\n"
    )
    sys.stdout.writelines(f"{failure}\n" for failure in failures[:20])
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
