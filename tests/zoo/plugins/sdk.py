"""Imports its SDK where it is imported itself."""

from __future__ import annotations

import sqlalchemy
from keyclave.plugin import hookimpl
from keyclave_software.settings import SoftwareSettings


@hookimpl
def settings_model() -> type[SoftwareSettings]:
    return SoftwareSettings


SDK = sqlalchemy
