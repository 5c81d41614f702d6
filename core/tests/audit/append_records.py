"""Appends records from several threads, and notes which ones were acknowledged. Runs as a program of its own.

Usage: append_records.py DIRECTORY THREADS RECORDS_PER_THREAD

``acked`` gets the id of each acknowledged operation, written with O_SYNC; ``failed`` that of each refused one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from pathlib import Path

from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.errors import AuditUnavailable
from keyclave.models import OperationStatus, OperationType
from keyclave.state.store import Store


def main(directory: Path, threads: int, count: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_SYNC", 0)
    acked, failed = (os.open(directory / name, flags, 0o600) for name in ("acked", "failed"))
    store = Store.open(f"sqlite:///{directory / 'state.db'}", key_file=directory / "key")
    log = AuditLog(store, instance_id=uuid.UUID(int=7))

    def work() -> None:
        for _ in range(count):
            operation_id = uuid.uuid4()
            try:
                log.append(_entry(operation_id))
            except AuditUnavailable as error:
                os.write(failed, f"{operation_id} {error}\n".encode())
            else:
                os.write(acked, f"{operation_id}\n".encode())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log.close()
    store.close()


def _entry(operation_id: uuid.UUID) -> AuditEntry:
    return AuditEntry(
        operation_id=operation_id,
        operation_type=OperationType.SIGN,
        key_reference=f"name:{os.getpid()}",
        occurred_at=time.time_ns() // 1000,
        principal="tester",
        status=OperationStatus.SUCCESS,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
