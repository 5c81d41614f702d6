"""What the environment and the home directory say decides neither where calls go nor who sees them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest
from aws_tests.backends import Open
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from keyclave.errors import BackendUnavailable, ConfigurationError
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext
from keyclave_aws.backend import AwsBackend
from keyclave_aws.connecting import connect
from keyclave_aws.connection import Kms
from keyclave_aws.settings import AwsSettings, CredentialSource

from tests.services.kms import server
from tests.services.kms.server import Running

ELSEWHERE = "https://kms.example.invalid"
RULES = {
    "version": "1.0",
    "parameters": {"Region": {"builtIn": "AWS::Region", "required": False, "type": "string"}},
    "rules": [
        {"conditions": [], "endpoint": {"url": ELSEWHERE, "properties": {}, "headers": {}}, "type": "endpoint"}
    ],
}
# In a process of its own, as the SDK finds the home directory when it is imported. No name is ever looked up.
ASKED_HOSTS = """
import socket, sys
from pathlib import Path
from uuid import uuid4
from keyclave.errors import BackendUnavailable
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext
from keyclave_aws import plugin

asked = set()

def look_up(host, *_, **__):
    asked.add(host)
    raise socket.gaierror(host)

def connect(_, address):
    asked.add(address[0])
    raise OSError(address)

socket.getaddrinfo = look_up
socket.socket.connect = connect
settings = plugin.settings_model()(
    region="us-east-1", credentials="static", access_key_id="AKIDTEST", secret_access_key_file=sys.argv[1]
)
context = BackendContext(
    backend_id="kms",
    instance_id=uuid4(),
    environment_type=EnvironmentType.PRODUCTION,
    data_directory=Path(sys.argv[1]).parent / "data",
    accept_simulator=False,
)
try:
    plugin.open_backend(settings, context)
except BackendUnavailable:
    print(*sorted(asked))
"""


def rules_below(directory: Path) -> Path:
    """Write rules for the endpoint of KMS as the SDK looks for them."""
    place = directory / "kms" / "2014-11-01"
    place.mkdir(parents=True)
    (place / "endpoint-rule-set-1.json").write_text(json.dumps(RULES))
    return directory


def certificate_below(directory: Path) -> Path:
    """Write a certificate for this machine that nobody has signed, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "KMS")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / "certificate.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_DATA_PATH": "data"},
        {"AWS_DEFAULTS_MODE": "auto"},
        {"AWS_DEFAULTS_MODE": "silly"},
        {"AWS_REQUEST_CHECKSUM_CALCULATION": "silly"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"},
    ],
    ids=str,
)
def test_the_region_is_asked_and_nobody_else(variables: dict[str, str], tmp_path: Path, secret_file: Path) -> None:
    rules_below(tmp_path / "home" / ".aws" / "models")
    rules_below(tmp_path / "data")
    environment = {"HOME": str(tmp_path / "home"), **variables}
    ran = subprocess.run(
        [sys.executable, "-c", ASKED_HOSTS, str(secret_file)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.split() == ["kms.us-east-1.amazonaws.com"], ran.stderr


def test_the_evidence_says_whose_certificates_are_believed(
    secret_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AwsSettings(
        region="us-east-1",
        credentials=CredentialSource.STATIC,
        access_key_id="AKIDTEST",
        secret_access_key_file=secret_file,
    )
    context = BackendContext(
        backend_id="kms",
        instance_id=uuid4(),
        environment_type=EnvironmentType.PRODUCTION,
        data_directory=tmp_path / "data",
        accept_simulator=False,
    )

    def evidence() -> tuple[str, ...]:
        kms = Kms(lambda: connect(settings, context))  # which sends nothing yet
        return AwsBackend(kms, settings, context, None).describe().evidence

    assert not any("AWS_CA_BUNDLE" in sentence for sentence in evidence())
    bundle = certificate_below(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    assert evidence()[-1] == f"That it is AWS is believed of whom {bundle} trusts (AWS_CA_BUNDLE)."


def test_only_one_variable_says_whose_certificates_are_believed(
    open_backend: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_below(tmp_path)
    with server.running(certificate) as own:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, str(certificate))
        with pytest.raises(BackendUnavailable):
            open_backend(own.endpoint)
        for nothing in ("", str(tmp_path / "missing")):
            monkeypatch.setenv("AWS_CA_BUNDLE", nothing)
            with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE names no file"):
                open_backend(own.endpoint)
        assert own.kms.calls == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        open_backend(own.endpoint)


def test_the_monitoring_of_the_sdk_tells_nobody_the_session_token(
    open_backend: Open, own_kms: Running, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.5)
        monkeypatch.setenv("AWS_CSM_ENABLED", "true")
        monkeypatch.setenv("AWS_CSM_HOST", "127.0.0.1")
        monkeypatch.setenv("AWS_CSM_PORT", str(listener.getsockname()[1]))
        open_backend(
            own_kms.endpoint,
            session_token_file=secret_file,
            credentials="static",
            access_key_id="AKIDTEST",
            secret_access_key_file=secret_file,
        )
        with pytest.raises(TimeoutError):
            listener.recv(1)
