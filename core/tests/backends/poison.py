"""Run by a test in a process of its own: stevedore's cache file names another module for the plugin `acme`.

Shows that stevedore alone imports it, and that Keyclave does not.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

request: dict[str, Any] = json.load(sys.stdin)
scratch = Path(request["scratch"])
sys.path[:0] = [str(scratch / "injected"), *request["path"]]
(scratch / "injected").mkdir()
(scratch / "injected" / "injected.py").write_text("")
os.environ.update(XDG_CACHE_HOME=str(scratch), HOME=str(scratch), LOCALAPPDATA=str(scratch))

from keyclave.backends.catalog import GROUP  # noqa: E402  after the path is set, as everything below
from keyclave.backends.limits import TimeLimits  # noqa: E402
from keyclave.backends.modules import PluginModules  # noqa: E402
from keyclave.backends.policy import PluginPolicy  # noqa: E402
from stevedore import _cache  # noqa: E402
from stevedore.named import NamedExtensionManager  # noqa: E402

digest, _ = _cache._hash_settings_for_path(tuple(sys.path))
cache = Path(_cache._get_cache_dir())
cache.mkdir(parents=True)
(cache / digest).write_text(json.dumps({"groups": {GROUP: [["acme", "injected", GROUP]]}}))

modules = PluginModules(PluginPolicy(), TimeLimits())
loaded = modules.load("acme")
mine = sorted(m for m in sys.modules if m in {"injected", "keyclave_acme.plugin"})
plain: NamedExtensionManager[Any] = NamedExtensionManager(GROUP, ["acme"])
json.dump(
    {
        "keyclave_loaded": mine[0] if loaded.state == "loaded" else loaded.reason,
        "injected_again": "injected" in mine,
        "stevedore_loaded": plain["acme"].plugin.__name__,
    },
    sys.stdout,
)
