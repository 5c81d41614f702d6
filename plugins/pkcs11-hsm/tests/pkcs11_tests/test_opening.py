"""Which module is loaded, which token is opened, and what its level rests on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest
from keyclave.errors import BackendUnavailable, CapabilityUnsupported, ConfigurationError
from keyclave.models import EnvironmentType, SecurityLevel
from keyclave.plugin import Health, ImportKeyRequest, KeyStorage, Provider, Signing
from keyclave_pkcs11_hsm import plugin
from keyclave_pkcs11_hsm.settings import Pkcs11Settings
from pkcs11_tests.backends import NewLabel, Open, create, sign_and_verify
from pkcs11_tests.proxy import EVERY_CALL, Proxy
from pydantic import ValidationError

from tests.services.tokens import Token

pytestmark = pytest.mark.needs("softhsm")

NOT_OFFERED = {
    "attest_key",
    "disable_key",
    "enable_key",
    "mac",
    "permissions_policy",
    "check_permissions",
    "cancel_destruction",
}
HW_SLOT, HW = 0x4, 0x1


def hooks(*specifications: type) -> set[str]:
    return {name for each in specifications for name, value in vars(each).items() if hasattr(value, "keyclave_spec")}


def test_the_entry_point_is_the_plugin() -> None:
    (entry,) = entry_points(group="keyclave.backends", name="pkcs11-hsm")
    assert entry.load() is plugin
    assert entry.dist is not None
    assert entry.dist.name == "keyclave-pkcs11-hsm"


def test_importing_the_plugin_imports_no_sdk() -> None:
    program = (
        "import sys, keyclave_pkcs11_hsm.plugin;"
        "print([m for m in sys.modules if m.startswith(('cryptography', 'pkcs11', 'asn1crypto'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_its_hooks_fit_the_specifications(open_backend: Open, softhsm_token: Token) -> None:
    backend = open_backend(softhsm_token)
    for implementation, specifications in ((plugin, (Provider,)), (backend, (KeyStorage, Signing, Health))):
        manager = pluggy.PluginManager("keyclave")
        for each in specifications:
            manager.add_hookspecs(each)
        manager.register(implementation)
        manager.check_pending()
        implemented = {caller.name for caller in manager.get_hookcallers(implementation) or ()}
        assert implemented == hooks(*specifications) - NOT_OFFERED


def test_a_module_outside_the_directories_of_the_system_must_be_named(
    open_backend: Open, softhsm_token: Token, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(softhsm_token.module, tmp_path / "module.so"))
    with pytest.raises(ConfigurationError, match="not among those that may be loaded") as caught:
        open_backend(softhsm_token, module=copy, allowed_modules=())
    assert str(copy) in caught.value.next_step


def test_a_link_is_judged_by_what_it_leads_to(open_backend: Open, softhsm_token: Token, tmp_path: Path) -> None:
    link = tmp_path / "link.so"
    link.symlink_to(softhsm_token.module)
    open_backend(softhsm_token, module=link, allowed_modules=())
    with pytest.raises(ConfigurationError, match="not among"):
        open_backend(softhsm_token, module=link, allowed_modules=(link,))


@pytest.mark.parametrize("part", ["module.so", "."])
def test_a_module_that_others_can_change_is_refused(
    open_backend: Open, softhsm_token: Token, tmp_path: Path, part: str
) -> None:
    directory = tmp_path / "modules"
    directory.mkdir()
    copy = Path(shutil.copy(softhsm_token.module, directory / "module.so"))
    (directory / part).chmod(0o777)
    with pytest.raises(ConfigurationError, match="group or others can write"):
        open_backend(softhsm_token, module=copy, allowed_modules=(copy,))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_module_of_another_user_is_refused(open_backend: Open, softhsm_token: Token, tmp_path: Path) -> None:
    copy = Path(shutil.copy(softhsm_token.module, tmp_path / "module.so"))
    os.chown(copy, 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        open_backend(softhsm_token, module=copy, allowed_modules=(copy,))


def test_what_is_no_module_is_refused(open_backend: Open, softhsm_token: Token, tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    for path, message in ((tmp_path / "missing.so", "cannot be used"), (tmp_path, "not a regular file")):
        with pytest.raises(ConfigurationError, match=message):
            open_backend(softhsm_token, module=path, allowed_modules=(path,))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        open_backend(softhsm_token, module=text, allowed_modules=(text,))


def test_a_library_without_cryptoki_is_refused(open_backend: Open, softhsm_token: Token) -> None:
    library = next(Path("/usr/lib").glob("*/libz.so.1")).resolve()
    with pytest.raises(ConfigurationError, match="no C_GetFunctionList"):
        open_backend(softhsm_token, module=library, allowed_modules=())


@pytest.mark.needs("nss")
def test_a_module_that_wants_parameters_says_so(open_backend: Open, nss_token: Token) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_backend(nss_token, module_parameters=None)
    assert "module_parameters" in caught.value.next_step
    open_backend(nss_token)
    with pytest.raises(ConfigurationError, match="other module_parameters"):
        open_backend(nss_token, module_parameters="configDir='/nowhere'")


def test_a_token_is_found_by_label_and_serial_number(open_backend: Open, softhsm_tokens: dict[str, Token]) -> None:
    token = softhsm_tokens["other"]
    serial = open_backend(token)._abilities.serial
    assert open_backend(token, serial=serial)._abilities.serial == serial
    for wrong in ({"serial": "0"}, {"token": "missing"}):
        with pytest.raises(BackendUnavailable, match="has no token") as caught:
            open_backend(token, **wrong)
        assert caught.value.retryable


def test_an_ambiguous_label_is_refused_until_a_serial_number_says_which(
    open_backend: Open, softhsm_tokens: dict[str, Token]
) -> None:
    twin = softhsm_tokens["twin"]
    with pytest.raises(ConfigurationError, match="2 tokens 'twin', with serial numbers") as caught:
        open_backend(twin)
    serials = re.findall(r"[0-9a-f]{16}", caught.value.message)
    assert len(serials) == 2
    for serial in serials:
        assert open_backend(twin, serial=serial)._abilities.serial == serial


def test_a_token_open_for_reading_changes_nothing(
    open_backend: Open, softhsm_token: Token, new_label: NewLabel
) -> None:
    created = create(open_backend(softhsm_token), new_label(), "ECDSA_P256")
    reader = open_backend(softhsm_token, read_only=True)
    assert created.public_key is not None
    sign_and_verify(reader, created.reference, created.public_key, "ECDSA_SHA256", b"message")
    request = ImportKeyRequest(label=new_label(), algorithm="ECDSA_P256", exportable=False)
    for change in (
        lambda: create(reader, new_label(), "ECDSA_P256"),
        lambda: reader.destroy_key(key=created.reference),
        lambda: reader.begin_import(request=request),
    ):
        with pytest.raises(CapabilityUnsupported, match="for reading only"):
            change()
    assert reader.find_key(label=created.reference.label) == created.reference


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ({}, SecurityLevel.SOFTWARE),
        ({"slot": HW_SLOT}, SecurityLevel.SOFTWARE),
        ({"mechanism": HW}, SecurityLevel.SOFTWARE),
        ({"slot": HW_SLOT, "mechanism": HW}, SecurityLevel.HSM),
    ],
)
def test_the_level_of_an_unknown_token_rests_on_every_hardware_flag(
    open_backend: Open,
    behind_proxy: tuple[Proxy, Token],
    new_label: NewLabel,
    flags: dict[str, int],
    level: SecurityLevel,
) -> None:
    proxy, proxied = behind_proxy
    proxy.names("Acme", "Vault 9", library="Acme Cryptoki")
    proxy.flags(**flags)
    backend = open_backend(proxied)
    description = backend.describe()
    assert (description.security_level, description.simulator) == (level, False)
    assert any("'Vault 9' by 'Acme'" in sentence for sentence in description.evidence)
    for exportable in (False, True):
        created = create(backend, new_label(), "ECDSA_P256", exportable=exportable)
        assert created.hsm_backed is (level is SecurityLevel.HSM)
        assert any("CKA_LOCAL" in sentence for sentence in created.evidence)


@pytest.mark.needs("cc")
def test_softhsm_is_software_whatever_its_flags_say(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    proxy.flags(slot=HW_SLOT, mechanism=HW)
    description = open_backend(proxied).describe()
    assert (description.security_level, description.simulator) == (SecurityLevel.SOFTWARE, True)


@pytest.mark.parametrize(
    ("environment", "level"),
    [(EnvironmentType.LOCAL, SecurityLevel.HSM), (EnvironmentType.PRODUCTION, SecurityLevel.SOFTWARE)],
)
def test_a_simulator_stands_for_the_real_thing_only_where_that_is_accepted(
    open_backend: Open, softhsm_token: Token, environment: EnvironmentType, level: SecurityLevel
) -> None:
    context = {"accept_simulator": True, "environment_type": environment}
    description = open_backend(softhsm_token, context=context).describe()
    assert (description.security_level, description.simulator) == (level, True)


@pytest.mark.needs("cc")
def test_a_module_that_does_not_start_is_unavailable(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    for ckr, error, message in (
        (0x05, BackendUnavailable, "does not start"),
        (0x0A, ConfigurationError, "several threads"),
        (0x191, ConfigurationError, "by something else"),
    ):
        proxy.answer("Initialize", ckr)
        with pytest.raises(error, match=message):
            open_backend(proxied)
    for function in ("GetInfo", "GetSlotList", "OpenSession", "GetMechanismList"):
        proxy.answer(function, 0x05, times=EVERY_CALL)
        with pytest.raises(BackendUnavailable, match="CKR_GENERAL_ERROR"):
            open_backend(proxied)
        proxy.reset()
    open_backend(proxied)


def test_labels_that_no_token_has_are_refused() -> None:
    for label in ("", "x" * 33, "ä" * 17):
        with pytest.raises((ValueError, ValidationError), match="1 to 32 bytes"):
            Pkcs11Settings(module=Path("/usr/lib/module.so"), token=label)


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", readme.partition("## Settings")[2].partition("\n## ")[0], re.M))
    assert named == set(Pkcs11Settings.model_fields)
