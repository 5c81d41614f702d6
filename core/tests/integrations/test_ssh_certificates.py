"""SSH certificates. OpenSSH reads them, and trusts a signature of their holder through the authority alone."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)

from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.programs import ssh_keygen

pytestmark = pytest.mark.needs("ssh")

NAMES = {
    "RSA_2048": ("rsa-sha2-512", "ssh-rsa"),
    "ECDSA_P256": ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    "ECDSA_P384": ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    "ED25519": ("ssh-ed25519", "ssh-ed25519"),
}
"""What OpenSSH calls the signature and the key of each algorithm that SSH has."""
every = pytest.mark.parametrize("algorithm", NAMES)


def public_line(public_key: Any) -> str:
    return str(public_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def issue(authority: Any, public_key: Any) -> bytes:
    builder = (
        SSHCertificateBuilder()
        .public_key(public_key)
        .serial(7)
        .type(SSHCertificateType.USER)
        .key_id(b"alice's laptop")
        .valid_principals([b"alice"])
        .valid_after(int(time.time()) - 60)
        .valid_before(int(time.time()) + 3600)
    )
    return builder.sign(authority).public_bytes()


def holder(directory: Path) -> Any:
    """Make the key of the certificate's holder, outside Keyclave, and return its public key."""
    key = ed25519.Ed25519PrivateKey.generate()
    (directory / "alice").touch(mode=0o600)
    (directory / "alice").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key()


@every
def test_openssh_reads_it(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    key = private_key(algorithm)
    (tmp_path / "authority.pub").write_text(public_line(key.public_key()))
    fingerprint = ssh_keygen("-l", "-f", tmp_path / "authority.pub")[1].split()[1]
    path = tmp_path / "cert.pub"
    path.write_bytes(issue(key, holder(tmp_path)))
    good, said = ssh_keygen("-L", "-f", path)
    assert good, said
    assert f"{fingerprint} (using {NAMES[algorithm][0]})" in said
    assert "alice's laptop" in said
    assert "Serial: 7" in said


@every
def test_openssh_trusts_the_holder_through_the_authority(
    private_key: PrivateKeys, algorithm: str, tmp_path: Path
) -> None:
    key = private_key(algorithm)
    public_key = holder(tmp_path)
    (tmp_path / "alice.pub").write_text(public_line(public_key))
    (tmp_path / "alice-cert.pub").write_bytes(issue(key, public_key))
    good, said = ssh_keygen("-Y", "sign", "-n", "file", "-f", tmp_path / "alice-cert.pub", data=b"message")
    assert good, said
    (tmp_path / "signature").write_text(said)
    assert trusts(tmp_path, "alice", key.public_key())
    assert not trusts(tmp_path, "bob", key.public_key())
    assert not trusts(tmp_path, "alice", ed25519.Ed25519PrivateKey.generate().public_key())


def trusts(directory: Path, who: str, authority: Any) -> bool:
    (directory / "allowed").write_text(f"{who} cert-authority {public_line(authority)}\n")
    signature = ("-s", directory / "signature")
    good, said = ssh_keygen(
        "-Y", "verify", "-n", "file", "-I", who, "-f", directory / "allowed", *signature, data=b"message"
    )
    assert good == ("Good" in said), said
    return good


@every
def test_a_key_of_a_backend_can_be_certified(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "cert.pub"
    path.write_bytes(issue(private_key("ED25519"), private_key(algorithm).public_key()))
    good, said = ssh_keygen("-L", "-f", path)
    assert good, said
    assert f"Type: {NAMES[algorithm][1]}-cert-v01@openssh.com user certificate" in said


@every
def test_openssh_refuses_a_changed_certificate(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    kind, encoded = issue(private_key(algorithm), holder(tmp_path)).split()[:2]
    forged = base64.b64encode(base64.b64decode(encoded).replace(b"alice", b"mally"))
    (tmp_path / "cert.pub").write_bytes(kind + b" " + forged)
    good, said = ssh_keygen("-L", "-f", tmp_path / "cert.pub")
    assert "mally" not in said
    assert not good
