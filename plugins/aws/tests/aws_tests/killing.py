"""Run as a program: begin to create a key, and be killed at one call of KMS, before or after it.

``killing.py ENDPOINT DIRECTORY LABEL OPERATION before|after``
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreateKeyRequest, KeyLabel
from keyclave_aws import plugin


def main() -> None:
    endpoint, directory, label, operation, moment = sys.argv[1:]
    parsed = KeyLabel.parse(label)
    settings = plugin.settings_model()(
        region="us-east-1",
        endpoint=endpoint,
        credentials="static",
        access_key_id="AKIDTEST",
        secret_access_key_file=Path(directory) / "secret",
    )
    context = BackendContext(
        backend_id="kms",
        instance_id=parsed.instance_id,
        environment_type=EnvironmentType.LOCAL,
        data_directory=Path(directory) / "data",
        accept_simulator=True,
    )
    backend: Any = plugin.open_backend(settings, context)
    events = backend._kms._connection.client.meta.events
    event = "before-send" if moment == "before" else "after-call"
    events.register(f"{event}.kms.{operation}", lambda **_: os.kill(os.getpid(), signal.SIGKILL))
    backend.create_key(request=CreateKeyRequest(label=parsed, algorithm="ECDSA_P256", exportable=False))


if __name__ == "__main__":
    main()
