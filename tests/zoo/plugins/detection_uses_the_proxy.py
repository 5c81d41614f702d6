"""Asks a fixed address nearby as everything else is asked: by ``urllib``, which goes through the proxy."""

from __future__ import annotations

from urllib.error import URLError
from urllib.request import urlopen

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    if not host.network:
        return None
    try:
        with urlopen("http://169.254.169.254/zoo", timeout=host.timeout / 4):
            return evidence("the metadata service answers")
    except URLError:
        return None
