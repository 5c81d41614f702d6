"""Private files, with the errors of the operating system as errors of Keyclave.

An error is raised after the call that failed was left: the calls below hold what was being written, and a traceback
can show the local variables of each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keyclave.errors import BackendUnavailable, OutcomeUnknown
from keyclave.plugin.files import create_private, read_private, remove_private, replace_private
from pydantic import SecretBytes

__all__ = ["list_names", "load", "remove", "store", "store_new"]

_NEXT_STEP = "Check the disk, owner and mode of the directory of the keystore."


def list_names(directory: Path) -> list[str]:
    """Return the names of all entries of a directory, in no order.

    Raises:
        BackendUnavailable: it cannot be read.
    """
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError as error:
        reason = _reason(error)
    raise BackendUnavailable(f"{directory} cannot be read: {reason}", next_step=_NEXT_STEP)


def load(path: Path, limit: int) -> SecretBytes | None:
    """Return the content of a private file; ``None`` if there is none.

    Raises:
        ConfigurationError: the file is not private, or longer than ``limit``.
        BackendUnavailable: it cannot be read.
    """
    try:
        return SecretBytes(read_private(path, limit=limit))
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = _reason(error)
    raise BackendUnavailable(f"{path} cannot be read: {reason}", next_step=_NEXT_STEP)


def store_new(path: Path, content: SecretBytes) -> bool:
    """Create a private file; return ``False``, and change nothing, if one of that name is there.

    Raises:
        BackendUnavailable: it cannot be written, and is not there.
        OutcomeUnknown: it is there, and may not survive a power cut.
    """
    try:
        create_private(path, content.get_secret_value())
    except FileExistsError:
        return False
    except OSError as error:
        reason = _reason(error)
    else:
        return True
    if path.exists():
        raise OutcomeUnknown(f"{path} was written, but not durably: {reason}")
    raise BackendUnavailable(f"{path} cannot be written: {reason}", next_step=_NEXT_STEP)


def store(path: Path, content: SecretBytes, check: Callable[[bytes], object]) -> None:
    """Replace the content of a private file, once ``check`` accepted what was read back.

    Raises:
        OutcomeUnknown: it has its old content or the new one.
    """
    try:
        replace_private(path, content.get_secret_value(), check=check)
    except OSError as error:
        reason = _reason(error)
    else:
        return
    raise OutcomeUnknown(f"{path} may not have been written: {reason}", next_step=_NEXT_STEP)


def remove(path: Path) -> None:
    """Remove a private file, whether it is there or not.

    Raises:
        OutcomeUnknown: it may still be there.
    """
    try:
        remove_private(path)
    except OSError as error:
        reason = _reason(error)
    else:
        return
    raise OutcomeUnknown(f"{path} may still be there: {reason}", next_step=_NEXT_STEP)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
