"""Unlock a keystore: its master key, from a passphrase or a key file, checked against its ``keystore.json``."""

from __future__ import annotations

from pathlib import Path

from keyclave.errors import AuthenticationFailed, ConfigurationError, IntegrityError
from pydantic import SecretBytes

from keyclave_software.limits import FILE_BYTES
from keyclave_software.master_key import MasterKey
from keyclave_software.protection import Protection
from keyclave_software.sources import MasterKeySource
from keyclave_software.storage import load, store_new

__all__ = ["unlock"]


def unlock(source: MasterKeySource, stored_in: Path, *, has_keys: bool) -> MasterKey:
    """Return the master key of a keystore; make ``keystore.json`` if there is none.

    Args:
        source: what the master key comes from.
        stored_in: the file ``keystore.json``.
        has_keys: whether the keystore holds keys; one that does is never made anew.

    Raises:
        ConfigurationError: the keystore is protected in another way, or the file of the secret is missing or unsafe.
        AuthenticationFailed: the secret is not that of this keystore.
        IntegrityError: ``keystore.json`` is damaged or missing.
        BackendUnavailable, OutcomeUnknown: a file cannot be read or written.
    """
    content = load(stored_in, FILE_BYTES)
    if content is None:
        if has_keys:
            raise IntegrityError(f"the keystore has keys, but {stored_in} is missing")
        return _establish(source, stored_in)
    protection = Protection.decode(content.get_secret_value())
    if protection.source != source.name:
        raise ConfigurationError(
            f"the keystore is protected by {protection.source}, not by {source.name}",
            next_step=f"Set {protection.source} in the settings of this backend, or name another keystore.",
        )
    master = source.master_key(protection)
    if not protection.is_committed_to(master):
        raise AuthenticationFailed(f"{source.name} does not hold the secret of this keystore")
    return master


def _establish(source: MasterKeySource, stored_in: Path) -> MasterKey:
    source.prepare()
    protection = source.new_protection()
    master = source.master_key(protection)
    if store_new(stored_in, SecretBytes(protection.committed_to(master).encode())):
        return master
    # Another process was faster, and its salt counts.
    return unlock(source, stored_in, has_keys=True)
