"""Asks its service for the version when it is imported."""

from __future__ import annotations

import socket
from contextlib import suppress

from keyclave.plugin import hookimpl
from keyclave_software.settings import SoftwareSettings


@hookimpl
def settings_model() -> type[SoftwareSettings]:
    return SoftwareSettings


with suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), timeout=0.1).close()
