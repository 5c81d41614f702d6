"""The vectors are those of the manifest, and nothing else is taken for them."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave.errors import IntegrityError, InvalidArgument
from keyclave_contract_tests import vectors
from keyclave_contract_tests.vectors import Manifest, load, manifest, unpack

DATA = files(vectors)
NAMES = [source.name for source in manifest().files]
SMALLEST = next(source for source in manifest().files if source.name == "rsa_oaep_2048_sha1_mgf1sha1")
PACKED = (DATA / "rsa_oaep_2048_sha1_mgf1sha1.json.xz").read_bytes()
SCRIPT = Path(__file__).parents[2] / "scripts/make_vectors.py"


def _unpacked(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.json.xz").read_bytes())


def test_the_manifest_lists_what_is_there() -> None:
    assert sorted(f"{name}.json.xz" for name in NAMES) == sorted(
        entry.name for entry in DATA.iterdir() if entry.name.endswith(".xz")
    )
    assert sum(source.tests for source in manifest().files) == 4017
    assert sum(source.size for source in manifest().files) == 3_488_092
    assert manifest().version.endswith(manifest().commit)
    assert "Apache License" in (DATA / "LICENSE").read_text()


@pytest.mark.parametrize("source", manifest().files, ids=lambda source: source.name)
def test_a_file_is_what_its_manifest_says(source: vectors.Source) -> None:
    content = _unpacked(source.name)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (source.size, source.sha256)
    loaded = load(source.name)
    groups = [vector for group in loaded.test_groups for vector in group.tests]
    assert len(groups) == loaded.number_of_tests == source.tests
    assert len({vector.tc_id for vector in groups}) == source.tests


def test_bytes_are_read_as_hexadecimal() -> None:
    raw = msgspec.json.decode(_unpacked("ed25519"))["testGroups"][0]
    group = load("ed25519").test_groups[0]
    assert group.tests[0].msg == bytes.fromhex(raw["tests"][0]["msg"])
    assert group.public_key_der.hex() == raw["publicKeyDer"]  # type: ignore[union-attr]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_changed_byte_is_refused(place: int, bit: int) -> None:
    changed = bytearray(PACKED)
    changed[place % len(changed)] ^= 1 << bit
    with pytest.raises(IntegrityError, match="are not the ones that were published") as caught:
        unpack(bytes(changed), SMALLEST)
    assert caught.value.next_step == "Install keyclave-contract-tests again."


@pytest.mark.parametrize(
    "other",
    [
        b"",
        PACKED[:-1],
        PACKED + b"\0",
        PACKED + PACKED,
        lzma.compress(_unpacked(SMALLEST.name) + b" "),
        lzma.compress(_unpacked(SMALLEST.name).replace(b'"valid"', b'"invalid"', 1)),
        lzma.compress(bytes(10**8)),
    ],
    ids=["empty", "shorter", "longer", "twice", "a space more", "another verdict", "a bomb"],
)
def test_other_content_is_refused(other: bytes) -> None:
    with pytest.raises(IntegrityError):
        unpack(other, SMALLEST)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no vectors of the name"):
        load("../LICENSE")


def test_the_script_makes_the_same_data_again(tmp_path: Path) -> None:
    module = tmp_path / "module"
    (module / "testvectors_v1").mkdir(parents=True)
    (module / "LICENSE").write_bytes((DATA / "LICENSE").read_bytes())
    for name in NAMES:
        (module / f"testvectors_v1/{name}_test.json").write_bytes(_unpacked(name))
    made = []
    for target in (tmp_path / "one", tmp_path / "two"):
        target.mkdir()
        (target / "old.json.xz").write_bytes(b"of an earlier run")
        subprocess.run([sys.executable, SCRIPT, "--module", module, "--target", target], check=True)
        made.append({entry.name: entry.read_bytes() for entry in target.iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {f"{name}.json.xz" for name in NAMES} | {"LICENSE", "MANIFEST.json"}
    assert msgspec.json.decode(made[0]["MANIFEST.json"], type=Manifest) == manifest()
    assert {name: lzma.decompress(made[0][f"{name}.json.xz"]) for name in NAMES} == {
        name: _unpacked(name) for name in NAMES
    }
