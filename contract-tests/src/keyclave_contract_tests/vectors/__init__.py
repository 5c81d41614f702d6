"""Test vectors of Wycheproof: 20 files of https://github.com/C2SP/wycheproof, as ``MANIFEST.json`` lists them.

They are under the Apache License 2.0, which is beside them. ``contract-tests/scripts/make_vectors.py`` makes them.
"""

from __future__ import annotations

import hashlib
import lzma
from functools import cache
from importlib.resources import files

import msgspec
from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.plugin import Record

from keyclave_contract_tests.vectors.groups import VectorFile, decode

__all__ = ["Manifest", "Source", "load", "manifest", "unpack"]

_DATA = files(__name__)


class Source(Record, frozen=True, kw_only=True):
    """A file of Wycheproof that is part of this package.

    Attributes:
        name: of the file upstream, without ``_test.json``.
        size: its length in bytes.
        sha256: over its bytes, hexadecimal.
        tests: how many vectors it has.
    """

    name: str
    size: int
    sha256: str
    tests: int


class Manifest(Record, frozen=True, kw_only=True):
    """Where the vectors come from.

    Attributes:
        source: the repository.
        module: the Go module that was taken.
        version: of the module.
        sum: of the module, as Go's checksum database has it.
        commit: the commit of the repository, its first twelve digits.
        licence: of the vectors, an SPDX identifier.
        files: what is here.
    """

    source: str
    module: str
    version: str
    sum: str
    commit: str
    licence: str
    files: tuple[Source, ...]


@cache
def manifest() -> Manifest:
    """Return what the package says about its vectors."""
    return msgspec.json.decode((_DATA / "MANIFEST.json").read_bytes(), type=Manifest)


def load(name: str) -> VectorFile:
    """Return the vectors of a file.

    Args:
        name: of the file, such as ``ed25519``.

    Raises:
        InvalidArgument: there is no such file.
        IntegrityError: the file is not the one that the manifest names.
    """
    source = next((one for one in manifest().files if one.name == name), None)
    if source is None:
        raise InvalidArgument(
            f"there are no vectors of the name {name!r}",
            next_step=f"Use one of {', '.join(one.name for one in manifest().files)}.",
        )
    return decode(unpack((_DATA / f"{name}.json.xz").read_bytes(), source))


def unpack(packed: bytes, source: Source) -> bytes:
    """Return the JSON of a file as it is upstream.

    Args:
        packed: the file of this package, in the format of xz.
        source: what the manifest says about it.

    Raises:
        IntegrityError: it is another file.
    """
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    try:
        content = decompressor.decompress(packed, max_length=source.size + 1)
    except lzma.LZMAError:
        content = b""
    whole = decompressor.eof and not decompressor.unused_data
    if not whole or hashlib.sha256(content).hexdigest() != source.sha256:
        raise IntegrityError(
            f"the vectors {source.name} are not the ones that were published",
            next_step="Install keyclave-contract-tests again.",
        )
    return content
