"""List 100,000 keys page by page: peak memory of the pages against that of one list of them all."""

from __future__ import annotations

import tempfile
import tracemalloc
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keyclave
from keyclave.models import KeyStatus, RotationPolicy, SecurityLevel
from keyclave.plugin import KeyLabel
from keyclave.state.records import StoredKey, StoredVersion
from measure import row

KEYS = 100_000
CONFIG = """
[environment]
type = "local"
[state]
directory = "{directory}"
[backends.software]
plugin = "software"
"""


def run() -> list[dict[str, Any]]:
    """Fill the state directly, list it, and return the rows."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "keyclave.toml"
        config.write_text(CONFIG.format(directory=Path(scratch) / "state"))
        with keyclave.open(config) as clave:
            _fill(clave)
            tracemalloc.start()
            listed = sum(len(page) for page in clave.keys.pages())
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
    return [
        row("keys listed in pages", listed, "keys", f"= {KEYS}", met=listed == KEYS),
        row("peak memory of the pages", peak, "MiB", "<= 16", met=peak <= 16),
    ]


def _fill(clave: keyclave.Keyclave) -> None:
    policy, now = RotationPolicy(), datetime.now(UTC)
    for start in range(0, KEYS, 5000):
        with clave._store.write() as state:
            for number in range(start, start + 5000):
                key_id = uuid.uuid4()
                state.keys.add(_key(key_id, number, policy, now))
                state.keys.add_version(_version(clave, key_id, now))


def _key(key_id: uuid.UUID, number: int, policy: RotationPolicy, now: datetime) -> StoredKey:
    return StoredKey(
        key_id=key_id,
        name=f"key-{number:06}",
        algorithm="ED25519",
        owner_principal="benchmark",
        created_at=now,
        required_security_level=SecurityLevel.SOFTWARE,
        rotation_policy=policy,
        minimum_rotation_interval=None,
    )


def _version(clave: keyclave.Keyclave, key_id: uuid.UUID, now: datetime) -> StoredVersion:
    label = KeyLabel(instance_id=clave.instance_id, key_id=key_id, version=1, operation_id=uuid.uuid4())
    return StoredVersion(
        key_id=key_id,
        version=1,
        status=KeyStatus.ACTIVE,
        backend_id="software",
        backend_type="software",
        label=str(label),
        provider_uri=f"software:{key_id.hex}",
        public_key=None,
        exportable=False,
        hsm_backed=False,
        created_at=now,
        last_rotation_at=None,
        next_rotation_at=None,
        not_destroy_before=None,
        destroyed_at=None,
    )
