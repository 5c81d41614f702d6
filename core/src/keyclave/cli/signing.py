"""``keyclave keys sign`` and ``verify``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command
from keyclave.cli.files import read_small, source, target
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave.services.results import VersionSignature

__all__ = ["sign", "verify"]

_SIGNATURE_LIMIT = 64 * 1024
_SIGNATURE_MODE = 0o666
"""A signature is public: the user's umask decides."""

_scheme = click.option(
    "--scheme", help="Signature scheme, such as RSA_PKCS1_SHA256. Without it: the default of the key's algorithm."
)


def _shown(beside: VersionSignature) -> dict[str, object]:
    return {
        "version": beside.version,
        "scheme": beside.scheme,
        "backend_id": beside.backend_id,
        "audit_reference": beside.audit_reference,
        "signature": base64.b64encode(beside.signature).decode(),
    }


@command("sign", example="keyclave keys sign release README.md -o README.md.sig")
@click.argument("name")
@click.argument("file")
@click.option("-o", "--output", metavar="SIG", help="File for the signature. Without it: standard output.")
@_scheme
def sign(session: Session, *, name: str, file: str, output: str | None, scheme: str | None) -> None:
    """Sign a file with a key. FILE may be -.

    The active version signs, and during a validation period its successor as well: --json shows both. While its
    backend is unavailable the standby signs, where the policy allows it. ECDSA signatures are DER, the others have
    one form. Without -o and with --json the signature is in the answer, in base64.
    """
    if output is not None and _is_same_file(file, output):
        raise click.UsageError("SIG is FILE itself: the signature would replace what it signs.")
    if session.as_json and output is None:
        with source(file) as data, session.open() as clave:
            result = clave.keys.sign_stream(name, data, scheme=scheme)
    else:
        session.require_text_output(output)
        with source(file) as data, session.open() as clave, target(output, mode=_SIGNATURE_MODE) as signature:
            result = clave.keys.sign_stream(name, data, scheme=scheme)
            signature.write(result.signature)
    if output is None and not session.as_json:
        return
    answer = {
        "name": name,
        "version": result.version,
        "scheme": result.scheme,
        "key_id": str(result.key_id),
        "backend_id": result.backend_id,
        "audit_reference": result.audit_reference,
        "fallback": result.fallback,
        "successor": None if result.successor is None else _shown(result.successor),
    }
    answer |= {"signature": base64.b64encode(result.signature).decode()} if output is None else {"output": output}
    lines = [f"Signed by version {result.version} of {name!r} ({result.scheme}); the signature is in {output}."]
    if result.fallback:
        lines.append(f"That is its standby, in backend {result.backend_id!r}: the backend of the active one is away.")
    if result.successor is not None:
        lines.append(f"Version {result.successor.version}, which is to follow, signed as well; --json shows both.")
    session.answer(answer, *lines)


def _is_same_file(file: str, output: str) -> bool:
    """Return whether FILE and SIG are two names of one file."""
    if "-" in (file, output):
        return False
    try:
        return Path(file).samefile(output)
    except OSError:
        return False  # one of them is not there; what else is wrong is found when it is opened


@command("verify", example="keyclave keys verify release README.md README.md.sig")
@click.argument("name")
@click.argument("file")
@click.argument("sig")
@click.option("--version", type=click.IntRange(min=1), help="Accept this version only.")
@_scheme
def verify(session: Session, *, name: str, file: str, sig: str, version: int | None, scheme: str | None) -> None:
    """Verify the signature in SIG over FILE.

    The answer is the version that made it. FILE or SIG may be -. It needs no backend: the public keys are in the
    state. A wrong signature ends with exit code 5.
    """
    if file == sig == "-":
        raise click.UsageError("FILE and SIG cannot both be standard input.")
    signature = read_small(sig, what="the signature", limit=_SIGNATURE_LIMIT)
    with source(file) as data, session.open() as clave:
        signer = clave.keys.verify_stream(name, data, signature, version=version, scheme=scheme)
    session.answer({"name": name, "version": signer}, f"Good signature by version {signer} of {name!r}.")
