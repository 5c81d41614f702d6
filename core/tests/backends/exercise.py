"""Run by tests in a process of its own: use every named plugin as a service would, beside a healthy one.

Reads the request from standard input, and writes to standard output what became of each plugin.
"""

from __future__ import annotations

import json
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any
from uuid import UUID

request: dict[str, Any] = json.load(sys.stdin)
sys.path[:0] = request["path"]

from keyclave.backends.limits import TimeLimits  # noqa: E402  after the path is set, as everything below
from keyclave.backends.manager import (  # noqa: E402
    BackendInstance,
    BackendManager,
    CryptoFunctions,
    PluginPolicy,
)
from keyclave.crypto.algorithms import bind_digest, load_public_key  # noqa: E402
from keyclave.crypto.encodings import p1363_to_der  # noqa: E402
from keyclave.crypto.key_checks import check_public_key  # noqa: E402
from keyclave.crypto.verification import bind_verifier  # noqa: E402
from keyclave.errors import KeyclaveError  # noqa: E402
from keyclave.models import EnvironmentType  # noqa: E402
from keyclave.plugin import CreateKeyRequest, KeyLabel  # noqa: E402

INSTANCE_ID = UUID(int=1)


def use(manager: BackendManager, name: str, number: int) -> dict[str, Any]:
    """Create a key and sign with it."""
    label = KeyLabel(instance_id=INSTANCE_ID, key_id=UUID(int=number), version=1, operation_id=UUID(int=number))
    try:
        backend = manager.get(name)
        made = backend.create_key(CreateKeyRequest(label=label, algorithm="ED25519", exportable=False))
        sign = backend.bind_signer(made.reference, made.public_key, "ED25519", prehashed=False)
        signature = sign(b"message").signature
    except KeyclaveError as error:
        cause = type(error.__cause__).__name__ if error.__cause__ else None
        everything = "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(pickle.dumps(error))
        return {
            "error": type(error).__name__,
            "text": str(error),
            "cause": cause,
            "retryable": error.retryable,
            "everything": everything,
        }
    assert made.public_key is not None
    return {"public_key": made.public_key.hex(), "signature": signature.hex()}


names: list[str] = request["names"]
policy = PluginPolicy(
    allow=frozenset(request["allow"]) if "allow" in request else None,
    block=frozenset(request.get("block", ())),
    pins=request.get("pins", {}),
)
manager = BackendManager(
    {
        name: BackendInstance(id=name, plugin=name, settings={}, data_directory=Path(request["scratch"]) / name)
        for name in names
    },
    policy,
    instance_id=INSTANCE_ID,
    environment_type=EnvironmentType.LOCAL,
    crypto=CryptoFunctions(
        load_public_key=load_public_key,
        bind_verifier=bind_verifier,
        bind_digest=bind_digest,
        p1363_to_der=p1363_to_der,
        check_public_key=check_public_key,
    ),
    limits=TimeLimits(**{"probe": 30.0, **request.get("limits", {})}),
)
found = manager.reports()
first = {name: use(manager, name, number) for number, name in enumerate(names, 1)}
second = {name: use(manager, name, number) for number, name in enumerate(names, 101)}
reports = [
    {"name": r.name, "distribution": r.distribution, "version": r.version}
    | {"state": r.state, "stage": r.stage, "reason": r.reason}
    for r in manager.reports()
]
manager.close()
json.dump(
    {
        "found": {report.name: report.state for report in found},
        "first": first,
        "second": second,
        "reports": reports,
        "modules": sorted(sys.modules),
    },
    sys.stdout,
)
