"""A backend that breaks a rule of its environment is refused when it is opened, so that no call of it differs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from keyclave.backends.backend import Backend
from keyclave.backends.limits import TimeLimits
from keyclave.backends.opened import admit, take
from keyclave.backends.retrying import Retries
from keyclave.errors import PolicyViolation
from keyclave.models import AuthenticationMethod, EnvironmentType, SecurityLevel
from keyclave.plugin import BackendContext, BackendDescription, Location, hookimpl

from core.tests.backends.conftest import CRYPTO, INSTANCE_ID

STRICT = [EnvironmentType.PRODUCTION, EnvironmentType.STAGING]
LAX = [EnvironmentType.DEVELOPMENT, EnvironmentType.LOCAL]


class Described:
    """A backend that says what it is told to say."""

    def __init__(self, **said: Any) -> None:
        about: dict[str, Any] = {
            "contract": "2026.11",
            "provider_type": "aws",
            "security_level": SecurityLevel.HSM,
            "evidence": ("a sentence",),
            "authentication_method": AuthenticationMethod.API_KEY,
            "credential_source": "a file",
            "location": Location.REMOTE,
            "algorithms": (),
        }
        self.description = BackendDescription(**about | said)
        self.closed = False

    @hookimpl
    def describe(self) -> BackendDescription:
        return self.description

    def close(self) -> None:
        self.closed = True


def opened(target: Described, environment: EnvironmentType, directory: Path) -> Backend:
    context = BackendContext(
        backend_id="cloud", instance_id=INSTANCE_ID, environment_type=environment, data_directory=directory
    )
    provider = target.description.provider_type
    taken = take(
        target,
        provider,
        context,
        limits=TimeLimits(),
        crypto=CRYPTO,
        on_fault=lambda _: None,
        retries=Retries(),
    )
    return admit(taken, TimeLimits()).backend


@pytest.mark.parametrize("environment", STRICT)
def test_fr_023_an_access_key_that_was_only_found_is_refused(environment: EnvironmentType, tmp_path: Path) -> None:
    target = Described()
    with pytest.raises(PolicyViolation, match=f"FR-023.*in {environment.value}, unless the settings name") as raised:
        opened(target, environment, tmp_path)
    assert raised.value.backend_id == "cloud"
    assert target.closed


@pytest.mark.parametrize(("environment", "named"), [*((e, True) for e in STRICT), *((e, False) for e in LAX)])
def test_fr_023_an_access_key_that_is_named_or_where_nothing_is_at_stake_is_a_warning(
    environment: EnvironmentType, tmp_path: Path, *, named: bool
) -> None:
    with pytest.warns(UserWarning, match="FR-023: .* must be MANAGED_IDENTITY for aws; cloud uses a file"):
        backend = opened(Described(credential_named=named), environment, tmp_path)
    with pytest.warns(UserWarning, match="FR-023"):
        shown = backend.standing()
    assert (shown.credential_source, shown.credential_named) == ("a file", named)


@pytest.mark.parametrize("environment", EnvironmentType)
def test_fr_023_the_identity_that_is_due_needs_no_name_and_no_warning(
    environment: EnvironmentType, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened(Described(authentication_method=AuthenticationMethod.MANAGED_IDENTITY), environment, tmp_path)


def test_fr_003_a_backend_that_claims_an_impossible_level_is_refused(tmp_path: Path) -> None:
    target = Described(provider_type="tpm")
    with pytest.raises(PolicyViolation, match="FR-003"):
        opened(target, EnvironmentType.LOCAL, tmp_path)
    assert target.closed
