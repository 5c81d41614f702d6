"""The variables that show a platform: a test that is about a machine without any removes them first."""

from __future__ import annotations

from keyclave.detectors import aws, azure, gcp

__all__ = ["VARIABLES"]

_CLOUDS = (*aws._VARIABLES, *azure._VARIABLES, *gcp._VARIABLES)
VARIABLES = frozenset({"KUBERNETES_SERVICE_HOST", *(name for group in _CLOUDS for name in group)})
