"""How a connection to a server is protected: by the options of its URL, and in production always."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import keyclave
import psycopg
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.root import app
from keyclave.errors import ConfigurationError, StateUnavailable
from keyclave.state.databases import database_at

from core.tests.databases import Place, on_server
from tests.services.postgresql import Server, running

pytestmark = pytest.mark.needs("postgresql")

ACCESS = """
local all all trust
hostssl all certified 127.0.0.1/32 cert
hostssl all locked 127.0.0.1/32 scram-sha-256
hostssl all keyclave 127.0.0.1/32 trust
"""
PASSWORD = "canary password"


class Authority:
    """Makes certificates, each with its key, in a directory that a server of another user may read."""

    def __init__(self, directory: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.directory = directory
        self.file = directory / f"{name}.crt"
        self._write(self.file, self._certify(self._name, self._key.public_key(), authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return a certificate for a name, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        self._write(certificate, self._certify(subject, key.public_key(), authority=False))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o600)
        return certificate, private

    def _certify(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        (common_name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(str(common_name.value))]), critical=False)
            .sign(self._key, SHA256())
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(Encoding.PEM))


@dataclass(frozen=True)
class Protected:
    """A server that speaks TLS on a port of this machine, and who certified it."""

    server: Server
    authority: Authority

    def over_tls(self, place: Place, user: str = "keyclave", host: str = "localhost", **options: object) -> Place:
        """Return the same database, as one on another machine is reached."""
        name = place.url.partition("?")[0].rpartition("/")[2]
        options = {"sslmode": "verify-full", "sslrootcert": self.authority.file} | options
        given = urlencode({key: str(value) for key, value in options.items()}, quote_via=quote)
        return replace(place, url=f"postgresql://{user}@{host}:{self.server.port}/{name}?{given}")


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    authority = Authority(tmp_path_factory.mktemp("certificates"), "authority")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with running("listen_addresses=127.0.0.1", port=port) as server:
        data = server.directory / "data"
        account = data.stat()
        files = (*authority.issue("localhost"), authority.file)
        for file, setting in zip(files, ("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), strict=True):
            shutil.copy(file, data)
            shutil.chown(data / file.name, account.st_uid, account.st_gid)
            server.execute(f"ALTER SYSTEM SET {setting} = '{file.name}'")
        server.execute("ALTER SYSTEM SET ssl = on")
        server.execute("CREATE ROLE certified SUPERUSER LOGIN")
        server.execute(f"CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        (data / "pg_hba.conf").write_text(ACCESS)
        server.stop()
        server.start()
        yield Protected(server, authority)


@pytest.fixture
def place(protected: Protected, tmp_path: Path) -> Iterator[Place]:
    with on_server(protected.server, tmp_path) as made:
        yield made


def test_the_server_is_verified_and_what_is_sent_is_encrypted(protected: Protected, place: Place) -> None:
    verified = protected.over_tls(place)
    assert database_at(verified.url, 1).verifies_server()
    with contextlib.closing(verified.open()) as store, store.write():
        (connection,) = store.connections()
        assert isinstance(connection, psycopg.Connection)
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == (True,)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system waits as long as it wants")
@pytest.mark.parametrize(("options", "milliseconds"), [("", 10_000), ("&tcp_user_timeout=3000", 3_000)])
def test_a_network_that_goes_without_a_word_is_not_waited_for_long(
    protected: Protected, place: Place, options: str, milliseconds: int
) -> None:
    """The system itself would wait for a quarter of an hour, and for ever where nothing was sent."""
    there = protected.over_tls(place)
    there = replace(there, url=there.url + options)
    with contextlib.closing(there.open()) as store, store.write():
        (connection,) = store.connections()
        assert isinstance(connection, psycopg.Connection)
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5


def test_a_server_that_is_not_the_right_one_is_refused(protected: Protected, place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").file
    for wrong, reason in (
        (protected.over_tls(place, sslrootcert=stranger), "no authority in sslrootcert has signed"),
        (protected.over_tls(place, sslrootcert=tmp_path / "missing"), "the file of sslrootcert is missing"),
        # The certificate is for localhost.
        (protected.over_tls(place, host="127.0.0.1"), "has another name than the host"),
    ):
        with pytest.raises(
            StateUnavailable, match=f"no connection to postgresql://keyclave@.*: .*{reason}"
        ) as caught:
            wrong.open()
        assert "certificates" in str(caught.value.next_step)


def test_a_client_shows_its_certificate(protected: Protected, place: Place) -> None:
    certificate, key = protected.authority.issue("certified")
    protected.over_tls(place, "certified", sslcert=certificate, sslkey=key).open().close()
    with pytest.raises(StateUnavailable, match="no connection"):
        protected.over_tls(place, "certified").open()


def test_a_password_is_read_from_a_file(protected: Protected, place: Place, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"localhost:*:*:locked:{PASSWORD}\n")
    passwords.chmod(0o600)
    protected.over_tls(place, "locked", passfile=passwords).open().close()
    passwords.write_text("localhost:*:*:locked:wrong canary\n")
    with pytest.raises(
        StateUnavailable, match=r"no connection.*: the server refused the user or the password"
    ) as caught:
        protected.over_tls(place, "locked", passfile=passwords).open()
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.next_step}"


@pytest.mark.parametrize(
    ("address", "variables", "verifies"),
    [
        ("/db", {}, True),
        ("/db?host=/run/postgresql", {}, True),
        ("localhost/db", {}, True),
        ("127.0.0.2/db", {}, True),
        ("[::1]/db", {}, True),
        ("db.example/db", {}, False),
        ("192.0.2.1/db", {}, False),
        ("db.example/db?sslmode=require", {}, False),
        ("db.example/db?sslmode=verify-ca", {}, False),
        ("db.example/db?sslmode=verify-full", {}, True),
        ("/db?host=localhost&host=db.example", {}, False),
        ("localhost/db?hostaddr=192.0.2.1", {}, False),
        ("/db?service=main", {}, False),
        ("/db?service=main&sslmode=verify-full", {}, True),
        ("/db", {"PGHOST": "db.example"}, False),
        ("/db", {"PGHOSTADDR": "192.0.2.1"}, False),
        ("/db", {"PGHOST": "db.example", "PGSSLMODE": "verify-full"}, True),
        ("db.example/db?sslmode=prefer", {"PGSSLMODE": "verify-full"}, False),
    ],
)
def test_what_leaves_the_machine_unverified_is_known(
    monkeypatch: pytest.MonkeyPatch, address: str, variables: dict[str, str], *, verifies: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert database_at(f"postgresql://me@{address}", 1).verifies_server() is verifies


def test_production_refuses_a_server_that_is_not_verified(tmp_path: Path) -> None:
    config = tmp_path / "keyclave.toml"
    config.write_text(
        f"""
[state]
directory = "{tmp_path / "state"}"
url = "postgresql://me:canary@db.example/keyclave?sslmode=require"

[environment]
type = "production"

[backends.hsm]
plugin = "pkcs11-hsm"
module = "/nowhere.so"
token_label = "x"
"""
    )
    with pytest.raises(ConfigurationError, match="is not verified: production refuses that") as caught:
        keyclave.open(config)
    assert "sslmode=verify-full" in str(caught.value.next_step)
    assert "canary" not in str(caught.value)
    result = CliRunner().invoke(app, ["--config", str(config), "state", "upgrade"])
    assert result.exit_code == ExitCode.USAGE
    assert "sslmode=verify-full" in result.output
