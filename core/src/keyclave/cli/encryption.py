"""``keyclave keys encrypt`` and ``decrypt``: files of any size, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from keyclave.cli.command import command
from keyclave.cli.files import read_small, source, target
from keyclave.cli.session import Session

__all__ = ["decrypt", "encrypt"]

_AAD_LIMIT = 64 * 1024


def _options(function: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--aad-file", metavar="FILE", help="File with the associated data."),
        click.option("--aad", metavar="TEXT", help="Associated data: bound to the ciphertext, not part of it."),
        click.option("-o", "--output", metavar="OUT", help="File for the result. Without it: standard output."),
        click.argument("file"),
        click.argument("name"),
    ):
        function = decorate(function)
    return function


@command("encrypt", example="keyclave keys encrypt archive report.pdf -o report.pdf.enc --aad report-2026")
@_options
def encrypt(session: Session, **arguments: Any) -> None:
    """Encrypt a file with an AES_256 key. FILE may be -.

    The active version encrypts. OUT is written with mode 0600, and appears when it is complete.
    """
    _convert(session, "encrypt_stream", "Encrypted", **arguments)


@command("decrypt", example="keyclave keys decrypt archive report.pdf.enc -o report.pdf --aad report-2026")
@_options
def decrypt(session: Session, **arguments: Any) -> None:
    """Decrypt what encrypt made. FILE may be -.

    Any version of the key may have made it. OUT is written with mode 0600, and appears only after all of FILE was
    found authentic.
    """
    _convert(session, "decrypt_stream", "Decrypted", **arguments)


def _convert(
    session: Session,
    method: str,
    done: str,
    *,
    name: str,
    file: str,
    output: str | None,
    aad: str | None,
    aad_file: str | None,
) -> None:
    session.require_text_output(output or "-")
    associated = _associated_data(file, aad, aad_file)
    with source(file) as data, session.open() as clave, target(output) as result:
        getattr(clave.keys, method)(name, data, result, aad=associated)
    if output not in (None, "-"):
        session.answer({"name": name, "output": output}, f"{done} with {name!r}; the result is in {output}.")


def _associated_data(file: str, aad: str | None, aad_file: str | None) -> bytes | None:
    if aad is not None and aad_file is not None:
        raise click.UsageError("--aad and --aad-file exclude each other.")
    if file == aad_file == "-":
        raise click.UsageError("FILE and --aad-file cannot both be standard input.")
    if aad_file is not None:
        return read_small(aad_file, what="the associated data", limit=_AAD_LIMIT)
    return None if aad is None else aad.encode("utf-8", "surrogateescape")
