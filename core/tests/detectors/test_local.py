"""What variables, files and the firmware show of each platform, and what they do not show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from keyclave.detectors import DETECTORS
from keyclave.models import EnvironmentType

from core.tests.detectors.conftest import Detect

DMI = "sys/class/dmi/id/"
TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"
CLOUDS = ("azure", "aws", "gcp")
AZURE = {
    f"{DMI}sys_vendor": "Microsoft Corporation\n",
    f"{DMI}chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n",
}


@pytest.mark.parametrize(
    ("name", "files", "platform", "backend_type"),
    [
        ("azure", AZURE, "azure", "azure"),
        ("aws", {f"{DMI}sys_vendor": "Amazon EC2\n"}, "aws", "aws"),
        ("aws", {f"{DMI}bios_version": "4.11.amazon\n"}, "aws", "aws"),
        ("gcp", {f"{DMI}product_name": "Google Compute Engine\n"}, "gcp", "gcp"),
        ("kubernetes", {TOKEN: "canary"}, "kubernetes", "k8s"),
    ],
)
def test_fr_002_files_show_where_production_is(
    detect: Detect, name: str, files: dict[str, str], platform: str, backend_type: str
) -> None:
    found = detect(name, files=files)
    assert found is not None
    assert (found.platform, found.backend_type) == (platform, backend_type)
    assert found.environment_type is EnvironmentType.PRODUCTION
    assert found.confidence == 0.9
    assert "canary" not in " ".join(found.observations)


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("azure", ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")),
        ("azure", ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID")),
        ("aws", ("AWS_LAMBDA_FUNCTION_NAME",)),
        ("aws", ("ECS_CONTAINER_METADATA_URI_V4",)),
        ("aws", ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")),
        ("gcp", ("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION")),
        ("kubernetes", ("KUBERNETES_SERVICE_HOST",)),
    ],
)
def test_variables_show_where_production_is_and_are_not_quoted(
    detect: Detect, name: str, variables: tuple[str, ...]
) -> None:
    found = detect(name, environment=dict.fromkeys(variables, "canary"))
    assert found is not None
    assert found.environment_type is EnvironmentType.PRODUCTION
    assert all(variable in found.observations[0] for variable in variables)
    assert "canary" not in found.observations[0]
    for variable in variables:
        assert detect(name, environment=dict.fromkeys(variables, "canary") | {variable: ""}) is None


@pytest.mark.parametrize(
    ("environment", "files"),
    [
        ({"AWS_PROFILE": "x", "AWS_ACCESS_KEY_ID": "x", "AWS_REGION": "x"}, {}),
        ({"GOOGLE_CLOUD_PROJECT": "x", "K_SERVICE": "x", "AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "x"}, {}),
        ({}, {f"{DMI}sys_vendor": "Microsoft Corporation", f"{DMI}product_name": "Surface Laptop"}),
        ({}, {f"{DMI}sys_vendor": "Google", f"{DMI}product_name": "Eve"}),
        ({}, {f"{DMI}sys_vendor": "amazon ec2"}),
        ({}, {f"{DMI}product_name": ""}),
    ],
)
def test_the_machine_of_a_developer_is_no_cloud(
    detect: Detect, environment: dict[str, str], files: dict[str, str]
) -> None:
    assert [detect(name, environment=environment, files=files) for name in CLOUDS] == [None] * 3


def test_a_tpm_is_seen_by_its_device_or_by_the_kernel(detect: Detect) -> None:
    assert detect("tpm", files={"sys/class/tpm/tpm0/tpm_version_major": "1\n"}) is None
    known = detect("tpm", files={"sys/class/tpm/tpm0/tpm_version_major": "2\n"})
    usable = detect("tpm", files={"dev/tpmrm0": ""})
    assert known is not None
    assert usable is not None
    assert known.confidence < 0.5 < usable.confidence
    assert (usable.backend_type, usable.environment_type) == ("tpm", EnvironmentType.LOCAL)


def test_modules_of_p11_kit_are_listed_but_for_those_that_hold_no_keys(detect: Detect) -> None:
    files = {
        "usr/share/p11-kit/modules/softhsm2.module": "module: libsofthsm2.so\n",
        "usr/share/p11-kit/modules/p11-kit-trust.module": "module: p11-kit-trust.so\ntrust-policy:  yes\n",
        "etc/pkcs11/modules/acme.module": "module: acme.so\n",
        "etc/pkcs11/modules/README": "",
    }
    found = detect("pkcs11", files=files)
    assert found is not None
    assert [each.rpartition("/")[2] for each in found.observations] == ["acme.module", "softhsm2.module"]
    assert found.confidence < 0.5
    named = detect("pkcs11", environment={"PKCS11_MODULE": "acme.so"})
    assert named is not None
    assert named.confidence > 0.5


def test_a_secret_service_needs_a_session_and_a_program(detect: Detect) -> None:
    session = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"}
    assert detect("secret-service", environment=session) is None
    files = {"usr/share/dbus-1/services/org.freedesktop.secrets.service": ""}
    assert detect("secret-service", files=files) is None
    found = detect("secret-service", files=files, environment=session)
    assert found is not None
    assert found.backend_type == "os-keychain"


def test_the_operating_system_is_always_seen(detect: Detect) -> None:
    found = detect("host", files={"etc/os-release": 'ID=x\nPRETTY_NAME="Example 1"\n', ".dockerenv": ""})
    assert found is not None
    assert "it calls itself Example 1" in found.observations
    assert "this is a container of Docker" in found.observations
    assert found.environment_type is EnvironmentType.LOCAL


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes among its files")
@pytest.mark.parametrize("name", DETECTORS)
def test_what_stands_in_the_place_of_a_file_stops_no_detector(detect: Detect, tmp_path: Path, name: str) -> None:
    directory = tmp_path / "machine" / DMI
    directory.mkdir(parents=True)
    os.mkfifo(directory / "sys_vendor")
    (directory / "product_name").mkdir()
    (directory / "chassis_asset_tag").symlink_to("chassis_asset_tag")
    (directory / "bios_version").write_bytes(b"\xff" * 10_000_000)
    (directory / "bios_vendor").symlink_to("/dev/zero")
    modules = tmp_path / "machine/etc/pkcs11"
    modules.mkdir(parents=True)
    (modules / "modules").write_text("no directory")
    found = detect(name.removeprefix("keyclave."))
    assert (found is None) == (name != "keyclave.host")
