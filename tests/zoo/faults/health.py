"""Backends that say wrongly how they are, and plugins that do too much when they are loaded."""

from __future__ import annotations

from uuid import uuid4

from keyclave.models import AvailabilityStatus
from keyclave.plugin import BackendDescription, CreateKeyRequest, HealthReport, KeyLabel, hookimpl
from msgspec import structs

from tests.zoo.fault import fault, module_fault, secret_fault
from tests.zoo.software import SECRET, ZooSoftware


@fault({108: "asking for health changed the keys"})
class HealthMakesAKey(ZooSoftware):
    """Makes a key to see whether it can, and leaves it."""

    @hookimpl
    def check_health(self) -> HealthReport:
        label = KeyLabel(instance_id=self._instance_id, key_id=uuid4(), version=1, operation_id=uuid4())
        super().create_key(CreateKeyRequest(label=label, algorithm="AES_256", exportable=False))
        return super().check_health()


@fault({108: "asking for health raised (OSError|FileNotFoundError|BackendUnavailable)"})
class HealthRaises(ZooSoftware):
    """Lets the exception escape where something is missing."""

    @hookimpl
    def check_health(self) -> HealthReport:
        (self._directory / "status").stat()
        return super().check_health()


@fault({109: "health is good, and using a key raises"})
class HealthIsAlwaysGood(ZooSoftware):
    """Looks at nothing."""

    @hookimpl
    def check_health(self) -> HealthReport:
        return HealthReport(status=AvailabilityStatus.AVAILABLE)


@secret_fault({110: "holds a secret of its settings, as it is"})
class HealthNamesTheSecret(ZooSoftware):
    """Says in its detail how it logged in."""

    @hookimpl
    def check_health(self) -> HealthReport:
        return structs.replace(super().check_health(), detail=f"logged in with {SECRET.decode()}")


@fault({110: "an address holds a password"})
class AddressWithPassword(ZooSoftware):
    """Names the user and the password in the address of its service."""

    @hookimpl
    def describe(self) -> BackendDescription:
        return structs.replace(super().describe(), connection_uri="https://user:hunter2@hsm.example/")


@fault({111: "health is bad 10 s after"})
class HealthStaysBad(ZooSoftware):
    """Remembers the first bad answer."""

    bad: HealthReport | None = None

    @hookimpl
    def check_health(self) -> HealthReport:
        report = self.bad or super().check_health()
        if report.status is not AvailabilityStatus.AVAILABLE:
            self.bad = report
        return report


module_fault("plugin imports its sdk", "tests.zoo.plugins.sdk", {114: "imports .*sqlalchemy"})
module_fault("plugin connects when it is imported", "tests.zoo.plugins.caller", {114: r"causes socket\.connect"})
module_fault("detection asks for a pin", "tests.zoo.plugins.prompter", {112: "raises EOFError"})
module_fault("detection writes a file", "tests.zoo.plugins.writer", {112: "causes open"})
module_fault("plugin takes unknown settings", "tests.zoo.plugins.lenient", {113: "an unknown setting is taken"})
module_fault("plugin quotes settings", "tests.zoo.plugins.quoter", {113: "is refused with its value"})
