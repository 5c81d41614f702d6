"""Services that outlive the command that starts them, each in a scratch directory.

Where each one is, is remembered in a file beside the scratch directories, so that a later command can stop it.
"""

from __future__ import annotations

import getpass
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from keyclave.plugin.files import private_directory

from tests.services import ministack, nss, p11_kit, softhsm
from tests.services.catalog import not_root
from tests.services.tokens import Token

__all__ = ["STARTABLE", "start", "stop"]


def start(name: str) -> Mapping[str, str]:
    """Start a service, unless it was started before, and return what a program needs to reach it.

    A name in capitals is a variable to export, any other says what it is.
    """
    note = _note(name)
    if note.exists():
        raise FileExistsError(f"{name} was started in {note.read_text()}; stop it first")
    directory = Path(tempfile.mkdtemp(prefix=f"keyclave-{name}-"))
    try:
        reach = STARTABLE[name](directory)
        note.write_text(str(directory))
    except BaseException:
        shutil.rmtree(directory)
        raise
    return reach


def stop(name: str) -> bool:
    """Stop a service and remove what it left; return whether there was one."""
    note = _note(name)
    if not note.exists():
        return False
    directory = Path(note.read_text())
    if name == "postgresql":
        from tests.services import postgresql  # noqa: PLC0415  its client library

        postgresql.stop_in(directory)
    elif name == "ministack":
        ministack.stop_in(directory)
    shutil.rmtree(directory)
    note.unlink()
    return True


def _note(name: str) -> Path:
    directory = Path(tempfile.gettempdir()) / f"keyclave-services-{getpass.getuser()}"
    return private_directory(directory) / name


def _softhsm(directory: Path) -> Mapping[str, str]:
    return _reach(softhsm.make_tokens(directory, "keyclave")["keyclave"])


def _nss(directory: Path) -> Mapping[str, str]:
    return _reach(nss.make_token(directory))


def _ministack(directory: Path) -> Mapping[str, str]:
    server = ministack.Server(directory)
    return {"endpoint": server.endpoint, "process": str(server.process.pid)}


def _p11_kit(directory: Path) -> Mapping[str, str]:
    run_by = {"run_by": shlex.join(not_root())} if not_root() else {}
    return {**_reach(p11_kit.make_token(directory)), **run_by}


def _postgresql(directory: Path) -> Mapping[str, str]:
    from tests.services.postgresql import Server  # noqa: PLC0415  its client library

    server = Server(directory)
    server.execute("CREATE DATABASE keyclave")
    return {"url": server.url("keyclave"), "process": str(server.process.pid)}


def _reach(token: Token) -> Mapping[str, str]:
    reach = {"module": str(token.module), "token": token.label, "pin_file": str(token.pin_file)}
    if token.parameters is not None:
        reach["module_parameters"] = token.parameters
    return {**reach, **token.environment}


STARTABLE: Mapping[str, Callable[[Path], Mapping[str, str]]] = {
    "ministack": _ministack,
    "nss": _nss,
    "p11-kit": _p11_kit,
    "postgresql": _postgresql,
    "softhsm": _softhsm,
}
"""How each service is started in an empty directory."""
