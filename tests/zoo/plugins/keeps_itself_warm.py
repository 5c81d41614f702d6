"""Starts the thread that will keep its connections alive, before there is one."""

from __future__ import annotations

import threading
import time

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
