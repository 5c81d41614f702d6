"""The master key: from a passphrase or a key file, the right one or none."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from keyclave.errors import AuthenticationFailed, ConfigurationError, IntegrityError
from keyclave.plugin import CreateKeyRequest, KeyLabel
from keyclave.plugin.files import create_private, private_directory
from keyclave_software.backend import SoftwareBackend
from keyclave_software.master_key import MasterKey
from keyclave_software.protection import Argon2Parameters, Protection
from keyclave_software.settings import SoftwareSettings
from keyclave_software.sources import source_of
from pydantic import SecretBytes, ValidationError

from plugins.software.tests.conftest import PASSPHRASE, NewLabel, Open, Write

PROTECTION = Protection.new("passphrase_file", Argon2Parameters(memory_mib=64, iterations=3, lanes=4))


def edit(path: Path, **changes: Any) -> None:
    """Change the description of a keystore, with a checksum that fits: what an attacker writes."""
    described = json.loads(path.read_bytes()) | changes
    encoded = json.dumps(described | {"checksum": base64.b64encode(bytes(32)).decode()}, separators=(",", ":"))
    described["checksum"] = base64.b64encode(hashlib.sha256(encoded.encode()).digest()).decode()
    path.write_text(json.dumps(described, separators=(",", ":")))


def add_key(backend: SoftwareBackend, label: KeyLabel) -> bytes:
    created = backend.create_key(request=CreateKeyRequest(label=label, algorithm="ED25519", exportable=False))
    assert created.public_key is not None
    return created.public_key


def test_a_keystore_of_its_own_key_file_is_made_and_opened_again(
    open_backend: Open, new_label: NewLabel, data_directory: Path
) -> None:
    label = new_label()
    public_key = add_key(open_backend(), label)
    assert add_key(open_backend(), label) == public_key
    key_file = data_directory / "master.key"
    assert key_file.stat().st_size == 32
    for path in data_directory.iterdir():
        assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert os.name != "posix" or stat.S_IMODE(data_directory.stat().st_mode) == 0o700


def test_a_keystore_of_a_passphrase_is_made_and_opened_again(
    open_backend: Open, new_label: NewLabel, data_directory: Path, passphrase_file: Path, write: Write
) -> None:
    label = new_label()
    public_key = add_key(open_backend(passphrase_file=passphrase_file), label)
    without_line_break = write("again", PASSPHRASE)
    assert add_key(open_backend(passphrase_file=without_line_break), label) == public_key
    assert not (data_directory / "master.key").exists()


def test_keys_and_key_file_can_be_kept_apart(
    open_backend: Open, new_label: NewLabel, data_directory: Path, tmp_path: Path
) -> None:
    add_key(open_backend(keystore=tmp_path / "keys"), new_label())
    assert [path.name for path in data_directory.iterdir()] == ["master.key"]
    assert len(list((tmp_path / "keys").glob("*.key"))) == 1


def test_argon2id_makes_the_master_key_with_the_default_costs(passphrase_file: Path, tmp_path: Path) -> None:
    source = source_of(SoftwareSettings(passphrase_file=passphrase_file), tmp_path / "none")
    protection = source.new_protection()
    expected = Argon2id(salt=protection.salt, length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
    right = protection.committed_to(MasterKey(SecretBytes(expected.derive(PASSPHRASE))))
    assert right.is_committed_to(source.master_key(protection))


def test_the_costs_of_the_settings_are_kept_by_the_keystore(
    open_backend: Open, data_directory: Path, passphrase_file: Path
) -> None:
    open_backend(passphrase_file=passphrase_file, argon2={"memory_mib": 65, "iterations": 4, "lanes": 1})
    kept = json.loads((data_directory / "keystore.json").read_bytes())["argon2id"]
    assert kept == {"memory_mib": 65, "iterations": 4, "lanes": 1}
    open_backend(passphrase_file=passphrase_file)
    assert json.loads((data_directory / "keystore.json").read_bytes())["argon2id"] == kept


def test_a_wrong_passphrase_is_refused(open_backend: Open, passphrase_file: Path, write: Write) -> None:
    open_backend(passphrase_file=passphrase_file)
    for number, wrong in enumerate([PASSPHRASE + b" ", PASSPHRASE + b"\n\n", PASSPHRASE.upper()]):
        with pytest.raises(AuthenticationFailed):
            open_backend(passphrase_file=write(f"wrong{number}", wrong))


def test_a_wrong_key_file_is_refused(open_backend: Open, data_directory: Path, write: Write) -> None:
    open_backend()
    with pytest.raises(AuthenticationFailed):
        open_backend(key_file=write("other", bytes(32)))
    open_backend(key_file=data_directory / "master.key")


def test_another_kind_of_protection_is_refused(open_backend: Open, passphrase_file: Path) -> None:
    open_backend()
    with pytest.raises(ConfigurationError, match="protected by key_file, not by passphrase_file"):
        open_backend(passphrase_file=passphrase_file)


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_key_file_of_another_length_is_refused(open_backend: Open, write: Write, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        open_backend(key_file=write("key", content))


def test_a_named_file_is_never_made(open_backend: Open, tmp_path: Path) -> None:
    for setting in ("key_file", "passphrase_file"):
        with pytest.raises(ConfigurationError, match="does not exist"):
            open_backend(**{setting: tmp_path / "missing"})
        assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_secret_that_others_can_read_is_refused(open_backend: Open, passphrase_file: Path) -> None:
    passphrase_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="lets group or others in"):
        open_backend(passphrase_file=passphrase_file)


def test_a_keystore_whose_key_file_is_lost_does_not_get_a_new_one(open_backend: Open, data_directory: Path) -> None:
    open_backend()
    (data_directory / "master.key").unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_backend()
    assert not (data_directory / "master.key").exists()


def test_keys_without_their_description_are_not_given_a_new_one(
    open_backend: Open, new_label: NewLabel, data_directory: Path
) -> None:
    add_key(open_backend(), new_label())
    (data_directory / "keystore.json").unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        open_backend()
    assert not (data_directory / "keystore.json").exists()


def test_many_that_open_a_new_keystore_at_once_get_the_same_one(open_backend: Open, new_label: NewLabel) -> None:
    label = new_label()
    with ThreadPoolExecutor(6) as pool:
        backends = list(pool.map(lambda _: open_backend(), range(6)))
    assert len({add_key(backend, label) for backend in backends}) == 1


def test_every_damaged_byte_of_the_description_is_noticed(open_backend: Open, data_directory: Path) -> None:
    open_backend()
    content = (data_directory / "keystore.json").read_bytes()
    for index in range(len(content)):
        for damaged in (content[:index], content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]):
            with pytest.raises(IntegrityError):
                Protection.decode(damaged)
    assert Protection.decode(content).encode() == content


def test_another_encoding_of_the_same_description_is_refused() -> None:
    encoded = PROTECTION.committed_to(MasterKey(SecretBytes(bytes(32)))).encode()
    assert Protection.decode(encoded)
    for other in (b" " + encoded, encoded.replace(b",", b", "), encoded.replace(b'"format":1', b'"format":1.0')):
        with pytest.raises(IntegrityError):
            Protection.decode(other)


@pytest.mark.parametrize(
    "costs",
    [
        {"memory_mib": 63, "iterations": 3, "lanes": 4},
        {"memory_mib": 1025, "iterations": 3, "lanes": 4},
        {"memory_mib": 2**32, "iterations": 3, "lanes": 4},
        {"memory_mib": 64, "iterations": 2, "lanes": 4},
        {"memory_mib": 64, "iterations": 17, "lanes": 4},
        {"memory_mib": 64, "iterations": 3, "lanes": 0},
        {"memory_mib": 64, "iterations": 3, "lanes": 17},
        {"memory_mib": -64, "iterations": 3, "lanes": 4},
        None,
    ],
)
def test_costs_out_of_bounds_are_refused_before_they_are_used(
    open_backend: Open, data_directory: Path, passphrase_file: Path, costs: dict[str, int] | None
) -> None:
    described = private_directory(data_directory) / "keystore.json"
    create_private(described, PROTECTION.committed_to(MasterKey(SecretBytes(bytes(32)))).encode())
    edit(described, argon2id=costs)
    with pytest.raises(IntegrityError, match="out of bounds"):
        open_backend(passphrase_file=passphrase_file)


def test_costs_changed_within_their_bounds_do_not_open_the_keystore(
    open_backend: Open, data_directory: Path, passphrase_file: Path
) -> None:
    open_backend(passphrase_file=passphrase_file)
    edit(data_directory / "keystore.json", argon2id={"memory_mib": 65, "iterations": 3, "lanes": 4})
    with pytest.raises(AuthenticationFailed):
        open_backend(passphrase_file=passphrase_file)


def test_a_description_that_was_edited_back_and_forth_still_opens(
    open_backend: Open, data_directory: Path, passphrase_file: Path
) -> None:
    """So that the refusals above are due to the costs and not to how the test writes them."""
    open_backend(passphrase_file=passphrase_file)
    edit(data_directory / "keystore.json", argon2id={"memory_mib": 64, "iterations": 3, "lanes": 4})
    open_backend(passphrase_file=passphrase_file)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds memory on Linux")
def test_too_little_memory_is_an_error_that_says_so(passphrase_file: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from keyclave_software.settings import SoftwareSettings
from keyclave_software.sources import source_of
source = source_of(SoftwareSettings(passphrase_file={str(passphrase_file)!r}, argon2={{"memory_mib": 1024}}), Path())
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
source.master_key(source.new_protection())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "ConfigurationError: Argon2id with 1024 MiB of memory cannot be computed here" in ran.stderr


def test_a_keystore_without_costs_does_not_take_a_passphrase(passphrase_file: Path, tmp_path: Path) -> None:
    source = source_of(SoftwareSettings(passphrase_file=passphrase_file), tmp_path)
    with pytest.raises(ConfigurationError, match="no parameters"):
        source.master_key(Protection.new("key_file", None))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"passphrase_file": "a", "key_file": "b"}, "exclude each other"),
        ({"argon2": {}}, "argon2 needs passphrase_file"),
        ({"passphrase_file": "a", "argon2": {"memory_mib": 63}}, "greater than or equal to 64"),
        ({"passphrase_file": "a", "argon2": {"iterations": 17}}, "less than or equal to 16"),
        ({"keystore": ""}, "an empty path names nothing"),
        ({"key_file": ""}, "an empty path names nothing"),
        ({"passphrase_file": ""}, "an empty path names nothing"),
        ({"keystore": "~nobody-of-this-name/keys"}, "nobody knows the home directory"),
        ({"passphrase": "secret"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SoftwareSettings(**settings)


@pytest.mark.parametrize("setting", ["keystore", "key_file", "passphrase_file"])
def test_a_path_may_start_at_the_home_directory(setting: str) -> None:
    assert getattr(SoftwareSettings(**{setting: "~/keys"}), setting) == Path.home() / "keys"
