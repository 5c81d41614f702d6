"""The plugin as the core sees it: an entry point, light to import, hooks that fit, and a README that is right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest
from aws_tests.backends import REGION, Open
from keyclave.errors import ConfigurationError, InvalidArgument
from keyclave.models import AvailabilityStatus, SecurityLevel
from keyclave.plugin import Health, KeyStorage, Provider, Signing
from keyclave_aws import plugin
from keyclave_aws.errors import _ANSWERS
from keyclave_aws.permissions import CAPABILITIES, actions, policy_document
from keyclave_aws.settings import AwsSettings
from pydantic import ValidationError

from tests.services.kms.server import Running

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
NOT_OFFERED = {"adopt_key", "attest_key", "forget_key", "list_foreign_keys", "mac", "wrap_key"}


def section(title: str) -> str:
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def hooks(*specifications: type) -> set[str]:
    return {name for each in specifications for name, value in vars(each).items() if hasattr(value, "keyclave_spec")}


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="keyclave.backends", name="aws")
    assert entry.load() is plugin
    assert entry.dist is not None
    assert entry.dist.name == "keyclave-aws"


def test_importing_the_plugin_imports_no_sdk() -> None:
    program = (
        "import sys, keyclave_aws.plugin as plugin; plugin.settings_model()(region='eu-west-1');"
        "plugin.permissions_policy(settings=None);"
        "print([m for m in sys.modules if m.partition('.')[0] in ('boto3', 'botocore', 'urllib3', 'cryptography')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_its_hooks_fit_the_specifications(open_backend: Open, own_kms: Running) -> None:
    backend = open_backend(own_kms.endpoint)
    for implementation, specifications in ((plugin, (Provider,)), (backend, (KeyStorage, Signing, Health))):
        manager = pluggy.PluginManager("keyclave")
        for each in specifications:
            manager.add_hookspecs(each)
        manager.register(implementation)
        manager.check_pending()
        implemented = {caller.name for caller in manager.get_hookcallers(implementation) or ()}
        assert implemented == hooks(*specifications) - NOT_OFFERED


def test_opening_and_health_use_no_quota_of_cryptography(open_backend: Open, own_kms: Running) -> None:
    backend = open_backend(own_kms.endpoint)
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    assert {call.operation for call in own_kms.kms.calls} == {"DescribeKey"}
    own_kms.kms.denied.add("DescribeKey")
    assert backend.check_health().status is AvailabilityStatus.UNAVAILABLE
    assert "kms:DescribeKey" in backend.check_health().detail


def test_an_emulator_is_a_simulator_and_no_hsm(open_backend: Open, own_kms: Running) -> None:
    description = open_backend(own_kms.endpoint).describe()
    assert description.simulator
    assert description.security_level is SecurityLevel.SOFTWARE


def test_plain_http_needs_accept_simulator(open_backend: Open, own_kms: Running) -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        open_backend(own_kms.endpoint, context={"accept_simulator": False})
    assert own_kms.kms.calls == []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"region": "nowhere"},
        {"region": REGION, "endpoint": "http://kms.us-east-1.amazonaws.com"},
        {"region": REGION, "endpoint": "http://192.0.2.1:4566"},
        {"region": REGION, "endpoint": "https://somebody:secret@localhost"},
        {"region": REGION, "endpoint": "https://localhost/path"},
        {"region": REGION, "endpoint": "https://kms.us-east-1.amazonaws.com\t"},
        {"region": REGION, "endpoint": "https://kms.us-east-1.amazonaws.com\\.example.com"},
        {"region": REGION, "endpoint": "https://kms\u3002us-east-1.amazonaws.com"},
        {"region": REGION, "endpoint": " http://127.0.0.1:4566"},
        {"region": REGION, "endpoint": "http://127.0.0.1.example.com"},
        {"region": REGION, "endpoint": "http://127.0.0.1\\@example.com"},
        {"region": REGION, "endpoint": "ftp://localhost"},
        {"region": REGION, "endpoint": "https://localhost:99999"},
        {"region": "eu-west-1", "endpoint": "https://kms.us-east-1.amazonaws.com"},
        {"endpoint": "https://kms-fips.us-east-1.amazonaws.com", "fips": True},
        {"region": REGION, "profile": "me"},
        {"region": REGION, "credentials": "static"},
        {"region": REGION, "access_key_id": "AKID"},
        {"region": REGION, "secret_access_key_file": ""},
        {"region": REGION, "deletion_days": 6},
        {"region": REGION, "deletion_days": 31},
        {"region": REGION, "alias_prefix": "aws"},
        {"region": REGION, "alias_prefix": "a/b"},
        {"region": REGION, "multi_region": True, "custom_key_store_id": "cks-1"},
        {"region": REGION, "secret_access_key": "never in settings"},
    ],
)
def test_settings_that_cannot_be_are_refused_without_repeating_them(settings: dict[str, object]) -> None:
    with pytest.raises((ValidationError, InvalidArgument)) as refused:
        AwsSettings.model_validate(settings)
    assert "secret@" not in str(refused.value)
    assert "never in" not in str(refused.value)


def test_an_endpoint_of_aws_names_its_region() -> None:
    endpoint = "https://vpce-0123-abc.kms.eu-central-1.vpce.amazonaws.com"
    assert AwsSettings(endpoint=endpoint).effective_region == "eu-central-1"


def test_the_policy_is_the_readmes_and_has_every_action_and_no_wildcard() -> None:
    policy = json.loads(policy_document(None))
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert allowed == set(actions())
    assert not any("*" in action for action in allowed)
    (shown,) = re.findall(r"```output\n(.*?)```", section("Permissions"), re.DOTALL)
    assert json.loads(shown) == policy


def test_the_policy_is_narrowed_by_the_settings() -> None:
    settings = AwsSettings(region="cn-north-1", alias_prefix="signer", multi_region=True)
    text = policy_document(settings)
    assert "arn:aws-cn:kms:cn-north-1:*:alias/signer/*" in text
    assert "iam:CreateServiceLinkedRole" in text
    assert plugin.permissions_policy(settings=settings) == text


def test_the_readme_has_the_permissions_of_each_capability() -> None:
    rows = dict(re.findall(r"^\| ([a-z, ]+) \| (`kms:.*`) \|$", section("Permissions"), re.MULTILINE))
    assert rows == {name: ", ".join(f"`{action}`" for action in needed) for name, needed in CAPABILITIES.items()}


def test_the_readme_names_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (.*?) \|", section("Settings"), re.MULTILINE))
    assert set(rows) == set(AwsSettings.model_fields)
    for name, field in AwsSettings.model_fields.items():
        default = field.default
        shown = "unset" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert rows[name].strip("`") == shown, name


def test_the_readme_names_every_answer_of_aws() -> None:
    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", section("What AWS answers"))) >= set(_ANSWERS)
