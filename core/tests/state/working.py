"""One of several processes on one database. Run as a program: ``working.py URL KEY NAME COUNT [kill]``.

It adds COUNT keys, each with a version and an audit record, one transaction each. With ``kill`` it then says
``ready`` inside another transaction, and waits to be killed there.
"""

from __future__ import annotations

import sys
import time
import uuid
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from keyclave.models import KeyStatus, RotationPolicy, SecurityLevel
from keyclave.state.records import AuditHead, AuditRow, StoredKey, StoredVersion
from keyclave.state.store import Store, Transaction


def change(state: Transaction, name: str) -> None:
    """Add a key, a version and an audit record."""
    key_id, now = uuid.uuid4(), datetime.now(UTC)
    state.keys.add(
        StoredKey(
            key_id=key_id,
            name=name,
            algorithm="ED25519",
            owner_principal="tester",
            created_at=now,
            required_security_level=SecurityLevel.SOFTWARE,
            rotation_policy=RotationPolicy(),
            minimum_rotation_interval=None,
        )
    )
    state.keys.add_version(
        StoredVersion(
            key_id=key_id,
            version=1,
            status=KeyStatus.ACTIVE,
            backend_id="software",
            backend_type="software",
            label="label",
            provider_uri="software:x",
            public_key=None,
            exportable=False,
            hsm_backed=False,
            created_at=now,
            last_rotation_at=None,
            next_rotation_at=None,
            not_destroy_before=None,
            destroyed_at=None,
        )
    )
    head = state.audit.head()
    record = name.encode()
    chained = sha256(head.hash + record).digest()
    row = AuditRow(
        sequence=head.sequence + 1,
        operation_id=uuid.uuid4(),
        occurred_at=0,
        key_reference=str(key_id),
        record=record,
        hash=chained,
    )
    state.audit.append([row], AuditHead(sequence=row.sequence, hash=chained))


def main() -> None:
    """Work."""
    url, key_file, name, count = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    store, done = Store.open(url, key_file=key_file, timeout=20), 0
    while done < count:
        with store.write() as state:
            change(state, f"{name}-{done}")
        done += 1
    if sys.argv[5:] == ["kill"]:
        with store.write() as state:
            change(state, f"{name}-lost")
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            time.sleep(600)
    store.close()


if __name__ == "__main__":
    main()
