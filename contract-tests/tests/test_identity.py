"""What a report says of the backend under test."""

from __future__ import annotations

from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import BackendDescription, Location
from keyclave_contract_tests.identity import target_of


def described(*evidence: str) -> BackendDescription:
    return BackendDescription(
        contract="2026.11",
        provider_type="acme",
        security_level=SecurityLevel.HSM,
        evidence=evidence,
        authentication_method=AuthenticationMethod.API_KEY,
        location=Location.DEVICE,
        algorithms=(),
    )


def test_a_flood_of_statements_is_cut_and_counted() -> None:
    assert target_of(described("one", "two")).statements == ("one", "two")
    flood = target_of(described(*map(str, range(100_000)))).statements
    assert (len(flood), flood[49], flood[50]) == (51, "49", "… (99,950 more statements)")
