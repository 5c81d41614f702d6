"""Open a software backend: directories, master key, keystore."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import KeyclaveError
from keyclave.plugin import BackendContext
from keyclave.plugin.files import private_directory

from keyclave_software.backend import SoftwareBackend
from keyclave_software.keystore import Keystore, has_keys
from keyclave_software.protection import FILE_NAME
from keyclave_software.settings import SoftwareSettings
from keyclave_software.sources import source_of
from keyclave_software.unlocking import unlock

__all__ = ["open_software_backend"]


def open_software_backend(settings: SoftwareSettings, context: BackendContext) -> SoftwareBackend:
    """Return the opened backend; `keyclave_software.plugin.open_backend` says what is raised."""
    data_directory = private_directory(context.data_directory)
    directory = data_directory if settings.keystore is None else private_directory(settings.keystore)
    source = source_of(settings, data_directory / "master.key")
    master = unlock(source, directory / FILE_NAME, has_keys=has_keys(directory))
    with suppress(KeyclaveError):  # nothing depends on it, and the next opening tries again
        Keystore(directory, master).remove_leftovers()
    return SoftwareBackend(directory, master, context.instance_id)
