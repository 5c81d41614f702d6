"""The main job, step by step: a key is created, a file signed and checked by somebody else, the key rotated."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import keyclave
from keyclave.cli.independent import IndependentVerifier
from keyclave.cli.output import counted
from keyclave.errors import IntegrityError, InvalidSignature

if TYPE_CHECKING:
    from keyclave import Keyclave, Settings

__all__ = ["Action", "Tour"]

Action = tuple[str, str, Callable[[], str]]
"""What happens, the line that does it, and the function that does it here and returns what came of it."""

_NAME, _ALGORITHM = "tour", "ECDSA_P256"
_OTHER = b"something else"


class Tour:
    """The tour over one file.

    Args:
        file: the file that is signed.
        scratch: an empty, private directory for everything that is written.
        verifier: who checks the signatures independently.
        closing: closes what the tour opens.
    """

    def __init__(self, file: Path, scratch: Path, verifier: IndependentVerifier, closing: ExitStack) -> None:
        self._file = file
        self._verifier = verifier
        self._closing = closing
        self._scratch = scratch
        self._public_key = scratch / "version-1.pem"
        self._signatures = {version: scratch / f"version-{version}.sig" for version in (1, 2)}
        self._clave: Keyclave

    def actions(self) -> tuple[Action, ...]:
        """Return the steps, to be done in order. One that fails raises a `KeyclaveError`."""
        shown = self._verifier.code(self._public_key.name, self._signatures[1].name, self._file.name)
        rotated = f'clave.keys.verify_stream("{_NAME}", file, signature_1)'
        return (
            ("Open Keyclave in a scratch directory", "clave = keyclave.open(settings)", self._open),
            ("Create a key", f'clave.keys.create("{_NAME}", "{_ALGORITHM}")', self._create),
            ("Sign the file", self._sign_code(1), lambda: self._sign(1)),
            ("Let somebody else verify it", shown, self._verify_independently),
            ("See that it holds for no other data", self._other_code(), self._refuse_other_data),
            ("Rotate the key", f'clave.rotation.rotate("{_NAME}")', self._rotate),
            ("Sign the file again", self._sign_code(2), lambda: self._sign(2)),
            ("Verify the old signature after the rotation", rotated, self._verify_old),
            ("Let somebody else verify the old signature too", shown, self._verify_independently),
            ("Prove the audit log", "clave.audit.verify()", self._prove_audit),
        )

    def _sign_code(self, version: int) -> str:
        return f'signature_{version} = clave.keys.sign_stream("{_NAME}", file).signature'

    def _other_code(self) -> str:
        return f'clave.keys.verify("{_NAME}", b"{_OTHER.decode()}", signature_1)'

    def _open(self) -> str:
        self._clave = self._closing.enter_context(keyclave.open(_settings(self._scratch), principal="tour"))
        return f"environment {self._clave.environment.environment_type.value}, SQLite, removed at the end"

    def _create(self) -> str:
        handle = self._clave.keys.create(_NAME, _ALGORITHM)
        level = self._clave.backends.show(handle.backend_id).security_level.value
        return f"version {handle.version} in backend {handle.backend_id!r}, level {level}"

    def _sign(self, version: int) -> str:
        with self._opened() as data:
            result = self._clave.keys.sign_stream(_NAME, data)
        _require(result.version == version, f"version {result.version} signed instead of version {version}")
        self._signatures[version].write_bytes(result.signature)
        return f"{len(result.signature)} bytes, {result.scheme}, by version {result.version}"

    def _verify_independently(self) -> str:
        """Export the public key of version 1 anew, whatever version is active."""
        self._public_key.write_bytes(_pem(self._clave.keys.public_key(_NAME, version=1)))
        self._verifier.verify(self._public_key, self._signatures[1], self._file)
        return f"good, by version 1, says {self._verifier.name}"

    def _refuse_other_data(self) -> str:
        try:
            self._clave.keys.verify_stream(_NAME, io.BytesIO(_OTHER), self._signatures[1].read_bytes())
        except InvalidSignature:
            return "InvalidSignature, as it must be"
        raise IntegrityError("the signature was accepted for other data")

    def _rotate(self) -> str:
        self._clave.rotation.rotate(_NAME)
        old, new = self._clave.keys.versions(_NAME)
        return f"version {old.version} is {old.status.value}, version {new.version} is {new.status.value}"

    def _verify_old(self) -> str:
        with self._opened() as data:
            version = self._clave.keys.verify_stream(_NAME, data, self._signatures[1].read_bytes())
        _require(version == 1, f"version {version} verified the signature of version 1")
        return f"good, by version {version}"

    def _prove_audit(self) -> str:
        report = self._clave.audit.verify()
        _require(report.ok, f"the audit log has {counted(report.fault_count, 'fault')}")
        return f"{counted(report.records, 'record')}, the chain is whole"

    def _opened(self) -> BinaryIO:
        return self._file.open("rb")


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001  reads as a sentence
    if not holds:
        raise IntegrityError(otherwise)


def _pem(public_key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as s  # noqa: PLC0415  not needed for --help

    pem: bytes = public_key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return pem


def _settings(scratch: Path) -> Settings:
    """Return settings in which neither a file nor an environment variable of the user has a part."""
    from keyclave.cli.tour_settings import TourSettings  # noqa: PLC0415  pydantic is not needed for --help

    return TourSettings.for_directory(scratch / "state")
