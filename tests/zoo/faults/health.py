"""Backends that are ill and do not say so, that say so and are well, or that say too much."""

from __future__ import annotations

from typing import Any

from keyclave.errors import AccessDenied, BackendUnavailable
from keyclave.models import AvailabilityStatus
from keyclave.plugin import CreateKeyRequest, HealthReport, KeyLabel, PermissionReport, hookimpl
from keyclave_software.health import report
from msgspec import structs

from tests.zoo.delayed import ZooDelayed
from tests.zoo.fault import fault, plugin_fault
from tests.zoo.software import ZooSoftware


@fault({108: "check_health changed the keys of the backend"})
class HealthMakesAKey(ZooSoftware):
    """Makes a key to see that keys can be made, and leaves it there."""

    @hookimpl
    def check_health(self) -> HealthReport:
        base = super().list_keys(None).keys[0].label
        label = structs.replace(base, version=base.version + 1)
        super().create_key(CreateKeyRequest(label=label, algorithm="AES_256", exportable=False))
        return super().check_health()


@fault({108: "check_health changed which files the backend keeps"})
class HealthWritesAProbe(ZooSoftware):
    """Writes a file to see that the disk is not full, and leaves it there."""

    @hookimpl
    def check_health(self) -> HealthReport:
        (self._directory / "probe").write_bytes(bytes(16))
        return super().check_health()


@fault({108: "check_health raised", 109: "check_health raised"})
class HealthRaises(ZooSoftware):
    """Lets the error escape that says what is wrong."""

    @hookimpl
    def check_health(self) -> HealthReport:
        found = super().check_health()
        if not any(self._directory.glob("*.pid")):
            raise BackendUnavailable("no daemon is running")
        return found


@fault({109: "says AVAILABLE while the directory of the backend is missing, and using a key raised KeyNotFound"})
class AlwaysAvailable(ZooSoftware):
    """Does not look."""

    @hookimpl
    def check_health(self) -> HealthReport:
        return HealthReport(status=AvailabilityStatus.AVAILABLE)


@fault({109: "check_health says UNAVAILABLE, and not why"})
class HealthGivesNoReason(ZooSoftware):
    """Says how it is, and nothing else."""

    @hookimpl
    def check_health(self) -> HealthReport:
        return HealthReport(status=super().check_health().status)


@fault({109: "made the directory of the backend anew"})
class HealthMakesTheDirectory(ZooSoftware):
    """Sees to it that there is a directory, before it looks at what is in it."""

    @hookimpl
    def check_health(self) -> HealthReport:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        return super().check_health()


@fault({134: "check_permissions changed the keys of the backend"})
class PermissionsAreTriedForReal(ZooDelayed):
    """Makes a key to see that it may, and leaves it there."""

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        base = super().list_keys(None).keys[0].label
        label = structs.replace(base, version=base.version + 1)
        super().create_key(CreateKeyRequest(label=label, algorithm="AES_256", exportable=False))
        return super().check_permissions()


@fault({134: "check_permissions changed which files the backend keeps"})
class PermissionsAreWrittenDown(ZooDelayed):
    """Keeps what it found in a file."""

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        (self._directory / "permissions").write_bytes(b"zoo:*")
        return super().check_permissions()


@fault({134: "the backend works, and check_permissions misses zoo:Sign"})
class PermissionsAreGuessed(ZooDelayed):
    """Takes what it did not look at for missing."""

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        return PermissionReport(missing=("zoo:Sign",))


@fault({134: "check_permissions raised AccessDenied"})
class PermissionsMayNotBeAskedFor(ZooDelayed):
    """Lets the refusal of what it tried escape."""

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        raise AccessDenied("zoo:SimulatePrincipalPolicy is missing")


@fault({110: r"the health repeats the content of master\.key, (as it is|escaped)"})
class HealthShowsTheMasterKey(ZooSoftware):
    """Says what it was opened with."""

    @hookimpl
    def check_health(self) -> HealthReport:
        content = (self._directory / "master.key").read_bytes() if self._directory.exists() else b""
        return structs.replace(super().check_health(), detail=f"opened with {content!r}")


@fault({110: "the health on a bad day repeats the content of .*, in hexadecimal"})
class TroubleIsDumped(ZooSoftware):
    """Keeps what it read last, and dumps it when something is wrong."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.read = (self._directory / "master.key").read_bytes()

    @hookimpl
    def check_health(self) -> HealthReport:
        found = super().check_health()
        if found.status is AvailabilityStatus.AVAILABLE:
            return found
        return structs.replace(found, detail=f"{found.detail}; read {self.read.hex()}")


@fault({111: "check_health says UNAVAILABLE while its keys work"})
class HealthLooksInTheWrongPlace(ZooSoftware):
    """Looks at where the keystore is unless the settings say something else."""

    @hookimpl
    def check_health(self) -> HealthReport:
        return report(self._directory / "keystore")


@fault({111: "check_health says UNAVAILABLE when the directory of the backend is there again"})
class TroubleIsRememberedForEver(ZooSoftware):
    """Remembers that something was wrong, and does not look again."""

    trouble: HealthReport | None = None

    @hookimpl
    def check_health(self) -> HealthReport:
        found = self.trouble or super().check_health()
        if found.status is AvailabilityStatus.UNAVAILABLE:
            self.trouble = found
        return found


@fault({111: "is there again, and using a key raised KeyNotFound"})
class MissingKeysAreRememberedForEver(ZooSoftware):
    """Takes every key for destroyed once its file could not be found."""

    lost = False

    @hookimpl
    def check_health(self) -> HealthReport:
        found = super().check_health()
        self.lost = self.lost or found.status is AvailabilityStatus.UNAVAILABLE
        return found

    @hookimpl
    def find_key(self, label: KeyLabel) -> Any:
        found = super().find_key(label)
        if self.lost:
            super().destroy_key(found)
        return super().find_key(label)


plugin_fault("imports_its_sdk", {114: "importing the plugin imports .*pkcs11"})
plugin_fault("keeps_a_log", {114: "importing the plugin changes how is logged"})
plugin_fault("makes_its_directory", {114: "importing the plugin changes a directory"})
plugin_fault("looks_for_its_service", {114: "importing the plugin uses the network"})
plugin_fault("keeps_itself_warm", {114: "importing the plugin changes which threads run"})
plugin_fault("takes_any_setting", {114: "its settings take names that they do not know"})
plugin_fault("ends_the_process", {114: "importing the plugin ended the process"})
plugin_fault("detection_raises", {112: "detect raises FileNotFoundError"})
plugin_fault("detection_uses_the_proxy", {112: "detect goes through the proxy"})
plugin_fault("detection_asks_without_leave", {112: "detect uses the network"})
plugin_fault("detection_looks_names_up", {112: "detect looks up a name, where a fixed address is due"})
plugin_fault("detection_takes_its_time", {112: "detect takes longer than it may"})
plugin_fault("detection_quotes_the_environment", {113: "repeats the value of an environment variable that holds"})
plugin_fault("detection_is_surer_than_sure", {113: "is sure to a degree that is not between 0 and 1"})
plugin_fault("detection_speaks_for_another", {113: "detect names another plugin"})
