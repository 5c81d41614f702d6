"""Which keys were adopted: a private file for each, since their own attributes are not to be changed.

Relabelling is not safe on many tokens, and would take the key from those who find it by its label.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from keyclave.errors import BackendUnavailable, IntegrityError, InvalidArgument, KeyNotFound, OutcomeUnknown
from keyclave.plugin import KeyLabel, Record
from keyclave.plugin.files import create_private, private_directory, read_private, remove_private

from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.places import Place, place_of

__all__ = ["Adoptions"]

_SUFFIX = ".json"
_LEFTOVERS = f".keyclave-*{_SUFFIX}.*.tmp"
_MAX_BYTES = 4096
_CHECK_DISK = "Check the disk, owner and mode of the data directory of the backend."


class _Adoption(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a file, as JSON."""

    label: str
    cka_id: str
    cka_label: str
    spki_sha256: str | None


class Adoptions:
    """The adopted keys of one backend, as the disk has them: other processes adopt and forget keys as well."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "adopted"

    def place(self, label: KeyLabel) -> Place:
        """Return where the key of a label is: where its file says, or else where Keyclave makes it.

        Raises:
            IntegrityError: the file is not as it was written.
            BackendUnavailable: it cannot be read.
        """
        try:
            content = read_private(self._path(label), limit=_MAX_BYTES)
        except FileNotFoundError:
            return place_of(label)
        except OSError as error:
            reason = _reason(error)
        else:
            return _place(_decoded(content, label))
        raise BackendUnavailable(f"the record of an adopted key cannot be read: {reason}", next_step=_CHECK_DISK)

    def has(self, label: KeyLabel) -> bool:
        """Return whether the key of a label is an adopted one."""
        return self._path(label).exists()

    def require(self, label: KeyLabel) -> None:
        """Refuse to go on with an adopted key that was forgotten or destroyed, here or in another process."""
        if not self.has(label):
            raise KeyNotFound("no key is adopted under this label any more")

    def remove_leftovers(self, lock: TokenLock) -> None:
        """Remove what interrupted writes left. Only who holds the lock writes, so it is nobody's.

        Raises:
            BackendUnavailable: another process holds the lock for too long, or they cannot be removed.
        """
        if not any(self._directory.glob(_LEFTOVERS)):
            return
        with lock.held():
            try:
                for path in self._directory.glob(_LEFTOVERS):
                    path.unlink(missing_ok=True)
            except OSError as error:
                reason = _reason(error)
            else:
                return
        raise BackendUnavailable(f"the leftovers of an adoption cannot be removed: {reason}", next_step=_CHECK_DISK)

    def all(self) -> Iterator[tuple[KeyLabel, Place]]:
        """Yield every adopted key, in no order."""
        if self._directory.exists():
            for label in map(_label_in, self._directory.glob(f"keyclave-*{_SUFFIX}")):
                place = self.place(label)
                if place.adopted:  # and not forgotten since the directory was read
                    yield label, place

    def add(self, label: KeyLabel, place: Place) -> None:
        """Keep a place for a label, and return once that is durable. The label has no other place yet.

        Raises:
            BackendUnavailable: it cannot be written.
            OutcomeUnknown: it was written, and may not survive a power cut.
        """
        adoption = _Adoption(
            label=str(label), cka_id=place.identifier.hex(), cka_label=place.name, spki_sha256=place.fingerprint
        )
        private_directory(self._directory)
        try:
            create_private(self._path(label), msgspec.json.encode(adoption))
        except FileExistsError:
            return  # from an earlier call, and durable now
        except OSError as error:
            reason = _reason(error)
        else:
            return
        if self.has(label):
            raise OutcomeUnknown(f"the record of an adopted key may not be durable: {reason}")
        raise BackendUnavailable(f"the record of an adopted key cannot be written: {reason}", next_step=_CHECK_DISK)

    def remove(self, label: KeyLabel) -> None:
        """Forget the place of a label, if it has one.

        Raises:
            OutcomeUnknown: it may still be there.
        """
        try:
            remove_private(self._path(label))
        except OSError as error:
            reason = _reason(error)
        else:
            return
        raise OutcomeUnknown(f"the record of an adopted key may still be there: {reason}", next_step=_CHECK_DISK)

    def _path(self, label: KeyLabel) -> Path:
        return self._directory / f"{str(label).replace(':', '-')}{_SUFFIX}"


def _label_in(path: Path) -> KeyLabel:
    try:
        return KeyLabel.parse(path.name.removesuffix(_SUFFIX).replace("-", ":"))
    except InvalidArgument:
        pass
    raise _changed()


def _decoded(content: bytes, label: KeyLabel) -> _Adoption:
    try:
        adoption = msgspec.json.decode(content, type=_Adoption)
        bytes.fromhex(adoption.cka_id)
    except ValueError:
        pass
    else:
        if adoption.label == str(label):
            return adoption
    raise _changed()


def _changed() -> IntegrityError:
    return IntegrityError(
        "the record of an adopted key was changed", next_step="Restore the data directory of the backend."
    )


def _place(adoption: _Adoption) -> Place:
    return Place(bytes.fromhex(adoption.cka_id), adoption.cka_label, adopted=True, fingerprint=adoption.spki_sha256)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
