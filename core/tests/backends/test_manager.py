"""Opening configured backends: settings, failures that pass and failures that stay, and the end."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from keyclave.backends.contract import contract_problem
from keyclave.backends.description import description_problem
from keyclave.backends.manager import BackendInstance, BackendManager, PluginPolicy, TimeLimits
from keyclave.backends.opened import close_object
from keyclave.backends.registration import new_manager, register
from keyclave.backends.report import PluginStage, PluginState
from keyclave.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigurationError,
    ContractMismatch,
    InvalidArgument,
    PluginLoadError,
)
from keyclave.models import EnvironmentType, SecurityLevel
from keyclave.plugin import (
    CONTRACTS,
    AlgorithmSupport,
    DetectionEvidence,
    Host,
    SchemeSupport,
    SignatureEncoding,
    SigningInput,
    hookimpl,
)
from keyclave.plugin.hookspecs import Health
from pydantic import BaseModel, field_validator, model_validator

Manage = Callable[..., BackendManager]
Installed = Callable[..., None]


def sabotage(manager: BackendManager, hook: str, behaviour: Callable[..., Any]) -> None:
    """Let the module of the healthy plugin do something else for one hook."""
    manager._modules.load("acme")
    (implementation,) = getattr(manager._modules._manager.hook, hook).get_hookimpls()
    object.__setattr__(implementation, "function", behaviour)


def test_a_backend_is_opened_once_and_on_first_use(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme")
    assert manager.ids() == ("acme",)
    assert manager.plugin_of("acme") == "acme"
    assert {r.state for r in manager.reports() if r.name == "acme"} == {"found"}
    assert manager.get("acme") is manager.get("acme")
    assert {r.state for r in manager.reports() if r.name == "acme"} == {"loaded"}


def test_a_backend_that_is_not_configured(manage: Manage) -> None:
    for call in (manage("acme").get, manage("acme").plugin_of):
        with pytest.raises(BackendUnavailable, match="backend 'other': no such backend is configured") as raised:
            call("other")
        assert "acme" in raised.value.next_step


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"colour": "red"}, "colour: there is no such setting; there are location, input, "),
        ({"page_size": "canary"}, "page_size: Input should be a valid integer"),
        ({"pin": 7}, "pin: Input should be a valid string"),
    ],
)
def test_settings_that_do_not_fit(
    installed: Installed, manage: Manage, settings: dict[str, Any], problem: str
) -> None:
    installed("acme")
    with pytest.raises(ConfigurationError) as raised:
        manage("acme", **settings).get("acme")
    assert raised.value.message.startswith(rf"[backends.acme] {problem}")
    assert "canary" not in str(raised.value)
    assert raised.value.__context__ is None


def test_settings_are_not_shown(tmp_path: Path) -> None:
    instance = BackendInstance(id="hsm", plugin="acme", settings={"pin": "canary"}, data_directory=tmp_path)
    assert "canary" not in repr(instance)
    assert "canary" not in repr([instance])


def test_a_backend_that_cannot_be_reached_is_tried_again(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme")
    attempts: list[int] = []
    manager._modules.load("acme")
    (implementation,) = manager._modules._manager.hook.open_backend.get_hookimpls()
    open_backend = implementation.function

    def flaky(settings: Any, context: Any) -> object:
        attempts.append(1)
        if len(attempts) == 1:
            raise BackendUnavailable("no route to it")
        if len(attempts) == 2:
            raise ConnectionError("canary")
        return open_backend(settings, context)

    sabotage(manager, "open_backend", flaky)
    with pytest.raises(BackendUnavailable, match="backend 'acme': no route to it") as raised:
        manager.get("acme")
    assert raised.value.retryable
    assert {r.state for r in manager.reports() if r.name == "acme"} == {"loaded"}
    with pytest.raises(BackendUnavailable, match="open_backend raised ConnectionError at "):
        manager.get("acme")
    assert {r.stage for r in manager.reports() if r.name == "acme"} == {"open"}
    assert manager.get("acme").id == "acme"
    assert {r.state for r in manager.reports() if r.name == "acme"} == {"loaded"}


def test_a_wrong_credential_is_tried_once(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme")
    attempts: list[int] = []

    def refuse(*_: object) -> object:
        attempts.append(1)
        raise AuthenticationFailed("the PIN is wrong", attempts_left=2)

    sabotage(manager, "open_backend", refuse)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed, match="backend 'acme': the PIN is wrong") as raised:
            manager.get("acme")
        assert raised.value.attempts_left == 2
    assert attempts == [1]


def test_a_plugin_that_breaks_the_contract_is_not_tried_again(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme")
    attempts: list[int] = []
    sabotage(manager, "open_backend", lambda *_: attempts.append(1))
    for _ in range(3):
        with pytest.raises(BackendUnavailable, match="at stage open: backend 'acme': open_backend returned None"):
            manager.get("acme")
    assert attempts == [1]


def test_an_object_that_cannot_be_used_is_closed(installed: Installed, manage: Manage) -> None:
    closed: list[str] = []

    class Hookless:
        def close(self) -> None:
            closed.append("closed")

    installed("acme")
    manager = manage("acme")
    sabotage(manager, "open_backend", lambda *_: Hookless())
    with pytest.raises(BackendUnavailable, match="it implements no hook"):
        manager.get("acme")
    assert closed == ["closed"]


def test_a_backend_that_opens_too_late_is_closed_again(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme", limits=TimeLimits(opening=1.0))
    gate, closed = threading.Event(), threading.Event()

    class Late:
        def close(self) -> None:
            closed.set()

    def open_late(*_: object) -> object:
        gate.wait()
        return Late()

    sabotage(manager, "open_backend", open_late)
    with pytest.raises(BackendUnavailable, match="open_backend did not return within 1 s") as raised:
        manager.get("acme")
    assert raised.value.retryable
    gate.set()
    assert closed.wait(60)


def test_fr_016_those_who_wait_for_a_backend_that_hangs_wait_together(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme", limits=TimeLimits(opening=1.0))
    gate, attempts = threading.Event(), []

    def hang(*_: object) -> None:
        attempts.append(1)
        gate.wait()

    sabotage(manager, "open_backend", hang)

    def wait(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="backend 'acme': open_backend did not return within 1 s"):
            manager.get("acme")
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(wait, range(8))) < 5  # one after the other they would take 8 seconds
    assert len(attempts) < 4
    with pytest.raises(BackendUnavailable):
        manager.get("acme")  # who comes later tries again
    assert len(attempts) > 1
    gate.set()


def test_what_was_opened_is_closed_once(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme")
    backend = manager.get("acme")
    target: Any = backend.calls._relay.describe.get_hookimpls()[0].plugin
    manager.close()
    manager.close()
    assert target.closed == 1
    with pytest.raises(BackendUnavailable, match="it is closed"):
        backend.check_health()
    with pytest.raises(BackendUnavailable, match="Keyclave is closed") as caught:
        manager.get("acme")
    assert "keyclave.open" in caught.value.next_step


def test_a_close_that_raises_ends_nothing(
    installed: Installed, manage: Manage, caplog: pytest.LogCaptureFixture
) -> None:
    installed("acme")
    manager = manage("acme")
    target: Any = manager.get("acme").calls._relay.describe.get_hookimpls()[0].plugin

    def close() -> None:
        raise RuntimeError("canary")

    target.close = close
    manager.close()
    assert "a backend could not be closed: RuntimeError at backends/test_manager.py" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"security_level": "HSM", "evidence": ()}, "claims the level HSM without evidence (FR-003)"),
        ({"security_level": "HSM", "simulator": True}, "is a simulator and claims the level HSM"),
        ({"provider_type": "software"}, "says that it is 'software'"),
        ({"algorithms": "twice"}, "describes an algorithm twice"),
        ({"algorithms": "digest"}, "ED25519 signs messages, not digests"),
        ({"algorithms": "der"}, "a signature of ED25519 is not encoded as der"),
        ({"algorithms": "raw"}, "a signature of ECDSA_SHA256 is not encoded as raw"),
        ({"algorithms": "foreign"}, "keys of ED25519 cannot sign with ECDSA_SHA256"),
    ],
)
def test_a_description_that_cannot_be(
    installed: Installed, manage: Manage, changes: dict[str, Any], problem: str
) -> None:
    installed("acme")
    described = manage("acme").get("acme").description
    assert description_problem(described, "acme", accept_simulator=False) is None
    wrong = _changed(described, changes)
    assert problem in (description_problem(wrong, "acme", accept_simulator=False) or "")


def _changed(described: Any, changes: dict[str, Any]) -> Any:
    def support(algorithm: str, scheme: str, signs: SigningInput, encoding: SignatureEncoding) -> AlgorithmSupport:
        return AlgorithmSupport(
            algorithm=algorithm, schemes=(SchemeSupport(scheme=scheme, input=signs, encoding=encoding),)
        )

    message, digest = SigningInput.MESSAGE, SigningInput.DIGEST
    raw, der = SignatureEncoding.RAW, SignatureEncoding.DER
    algorithms = {
        "twice": (*described.algorithms, AlgorithmSupport(algorithm="ED25519")),
        "digest": (support("ED25519", "ED25519", digest, raw),),
        "der": (support("ED25519", "ED25519", message, der),),
        "raw": (support("ECDSA_P256", "ECDSA_SHA256", message, raw),),
        "foreign": (support("ED25519", "ECDSA_SHA256", message, raw),),
    }
    if "algorithms" in changes:
        changes = {"algorithms": algorithms[changes["algorithms"]]}
    if "security_level" in changes:
        changes = {**changes, "security_level": SecurityLevel(changes["security_level"])}
    return msgspec.structs.replace(described, **changes)


def test_an_accepted_simulator_and_an_unknown_algorithm_are_let_be(installed: Installed, manage: Manage) -> None:
    installed("acme")
    later = SchemeSupport(scheme="LATER", input=SigningInput.MESSAGE, encoding=SignatureEncoding.RAW)
    described = msgspec.structs.replace(
        manage("acme").get("acme").description,
        simulator=True,
        security_level=SecurityLevel.TPM,
        algorithms=(
            AlgorithmSupport(algorithm="LATER", schemes=(later,)),
            AlgorithmSupport(algorithm="ED25519", schemes=(later,)),
        ),
    )
    assert description_problem(described, "acme", accept_simulator=True) is None


def test_a_plugin_for_a_later_version_is_the_cause(installed: Installed, manage: Manage) -> None:
    installed("future")
    with pytest.raises(BackendUnavailable) as raised:
        manage("future").get("future")
    assert isinstance(raised.value.__cause__, ContractMismatch)
    assert "Upgrade whichever" in raised.value.next_step
    assert raised.value.retryable is False


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ("2031.01", "it was made for contract 2031.01"),
        ("2020.12", "it was made for contract 2020.12"),
        ("2031.13", "is not of the form YYYY.MM"),
        ("-----BEGIN", "is not of the form YYYY.MM"),
        ("", "is not of the form YYYY.MM"),
    ],
)
def test_a_backend_made_for_another_contract_is_not_used(
    installed: Installed, manage: Manage, declared: str, named: str
) -> None:
    installed("acme")
    manager = manage("acme", contract=declared)
    for _ in range(2):
        with pytest.raises(
            BackendUnavailable, match=f"failed at stage contract: backend 'acme': .*{named}"
        ) as raised:
            manager.get("acme")
        cause = raised.value.__cause__
        assert isinstance(cause, ContractMismatch)
        assert f"works with {' and '.join(CONTRACTS)}" in cause.message
        assert "BEGIN" not in cause.message
        assert raised.value.next_step == cause.next_step
        assert "Upgrade whichever" in cause.next_step
        assert raised.value.retryable is False
    (report,) = [report for report in manager.reports() if report.name == "acme"]
    assert (report.state, report.stage) == (PluginState.FAILED, PluginStage.CONTRACT)


def test_contracts_are_months_in_order() -> None:
    assert list(CONTRACTS) == sorted(set(CONTRACTS))
    assert len(CONTRACTS) in {1, 2}
    assert all(contract_problem(contract) is None for contract in CONTRACTS)
    assert all(re.fullmatch(r"\d{4}\.(0[1-9]|1[0-2])", contract) for contract in CONTRACTS)


def test_what_a_detection_does_wrong_is_in_its_answer(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme", policy=PluginPolicy(allow=frozenset({"acme", "software"})))
    here = Host(environment={"ACME": "1"}, root=Path("/"), timeout=60.0)
    (answer,) = [a for a in manager.detect(here) if a.source == "acme"]
    assert answer.evidence is not None
    assert answer.evidence.environment_type is EnvironmentType.STAGING
    (nothing,) = [a for a in manager.detect(Host(environment={}, root=Path("/"), timeout=60.0)) if a.source == "acme"]
    assert (nothing.evidence, nothing.problem) == (None, None)

    def fail(_: Host) -> DetectionEvidence:
        raise OSError("canary")

    sure = msgspec.structs.replace(answer.evidence, confidence=1.5)
    for behaviour, said in (
        (fail, "it raised OSError at"),
        (lambda _: "aws", "it returned str where DetectionEvidence is due"),
        (lambda _: sure, "it returned a DetectionEvidence whose confidence is not between 0 and 1"),
    ):
        sabotage(manager, "detect", behaviour)
        (answer,) = [a for a in manager.detect(here) if a.source == "acme"]
        assert answer.evidence is None
        assert answer.problem is not None
        assert answer.problem.startswith(said)
        assert "canary" not in answer.problem


def test_a_detection_that_never_ends_is_given_up(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme", policy=PluginPolicy(allow=frozenset({"acme"})))
    gate = threading.Event()
    sabotage(manager, "detect", lambda _: gate.wait())
    (answer,) = manager.detect(Host(environment={"ACME": "1"}, root=Path("/"), timeout=0.1))
    assert (answer.evidence, answer.problem) == (None, "no answer within 0.1 s")
    gate.set()


def test_a_detection_cannot_change_what_the_next_one_sees(installed: Installed, manage: Manage) -> None:
    installed("acme")
    manager = manage("acme", policy=PluginPolicy(allow=frozenset({"acme"})))
    environment = {"ACME": "1"}
    sabotage(manager, "detect", lambda host: host.environment.pop("ACME"))
    (answer,) = manager.detect(Host(environment=environment, root=Path("/"), timeout=60.0))
    assert answer.problem is not None
    assert answer.problem.startswith("it raised AttributeError")
    assert environment == {"ACME": "1"}


@pytest.mark.skipif(os.name != "posix", reason="a process cannot send itself Ctrl-C on Windows")
@pytest.mark.parametrize("hook", ["settings_model", "open_backend", "detect", "validator", "check_health", "close"])
def test_the_users_interrupt_ends_the_wait_for_a_plugin(installed: Installed, manage: Manage, hook: str) -> None:
    installed("acme")
    manager = manage("acme", policy=PluginPolicy(allow=frozenset({"acme"})))
    gate = threading.Event()

    def interrupt(*_: object) -> None:
        if not gate.is_set():  # once: the backend is closed again at the end
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        gate.wait()

    class Interrupting(BaseModel):
        @model_validator(mode="before")
        @classmethod
        def _interrupt(cls, values: object) -> object:
            interrupt()
            return values

    def use() -> None:
        if hook == "detect":
            manager.detect(Host(environment={}, root=Path("/"), timeout=60.0))
        backend = manager.get("acme")
        target: Any = backend.calls._relay.describe.get_hookimpls()[0].plugin
        target.close = interrupt
        if hook == "check_health":
            (implementation,) = backend.calls._relay.check_health.get_hookimpls()
            object.__setattr__(implementation, "function", interrupt)
            backend.check_health()
        close_object(target, backend.calls.workers, 60.0)

    if hook == "validator":
        sabotage(manager, "settings_model", lambda: Interrupting)
    elif hook not in {"check_health", "close"}:
        sabotage(manager, hook, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            use()
    finally:
        gate.set()


def test_settings_that_never_end_are_given_up(installed: Installed, manage: Manage) -> None:
    installed("acme")
    gate = threading.Event()
    manager = manage("acme", limits=TimeLimits(other=0.5))

    class Endless(BaseModel):
        @model_validator(mode="before")
        @classmethod
        def _wait(cls, values: object) -> object:
            gate.wait()
            return values

    sabotage(manager, "settings_model", lambda: Endless)
    with pytest.raises(ConfigurationError, match=r"its settings model did not answer within 0\.5 s"):
        manager.get("acme")
    gate.set()


def test_a_plugin_that_is_not_loaded_is_not_called(manage: Manage) -> None:
    with pytest.raises(PluginLoadError, match="plugin 'acme' does not implement detect"):
        manage("acme")._modules.call("acme", "detect", 1.0)


def test_the_users_interrupt_is_not_taken_for_a_fault_of_a_plugin() -> None:
    class Interrupted:
        def __dir__(self) -> list[str]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(new_manager(Health), Interrupted(), "interrupted", required=["describe"])


def test_two_instances_of_one_plugin_are_apart(installed: Installed, manage: Manage, tmp_path: Path) -> None:
    from_fixture = manage("acme")
    installed("acme")
    instances = {
        name: BackendInstance(id=name, plugin="acme", settings={}, data_directory=tmp_path / name)
        for name in ("one", "two")
    }
    manager = BackendManager(
        instances,
        PluginPolicy(),
        instance_id=from_fixture._instance_id,
        environment_type=EnvironmentType.LOCAL,
        crypto=from_fixture._opener._crypto,
        limits=TimeLimits(),
    )
    one, two = manager.get("one"), manager.get("two")
    assert one is not two
    assert one.calls._relay is not two.calls._relay
    one.calls.fault("sign", "it broke")
    with pytest.raises(BackendUnavailable):
        manager.get("one")
    assert manager.get("two").check_health()
    (report,) = [r for r in manager.reports() if r.name == "acme"]
    assert (report.state, report.reason) == ("failed", "backend 'one': sign: it broke")
    manager.close()


def test_opening_imports_no_other_plugin(installed: Installed, manage: Manage) -> None:
    installed("acme", "hooks")
    before = set(sys.modules)
    manage("acme").get("acme")
    assert not [m for m in set(sys.modules) - before if m.startswith("keyclave_acme_hooks")]


class StrictSettings(BaseModel):
    """Refuses its one setting in the way that the test chooses."""

    raised: ClassVar[Exception]
    value: str

    @field_validator("value")
    @classmethod
    def _refuse(cls, _: str) -> str:
        raise cls.raised


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (InvalidArgument("it must be a slot"), "value: it must be a slot"),
        (ConfigurationError("the file is not private"), "the file is not private"),
        (RuntimeError("canary"), "its settings model raised RuntimeError at backends/test_manager.py:"),
    ],
)
def test_settings_that_the_plugin_itself_refuses(
    installed: Installed, manage: Manage, raised: Exception, problem: str
) -> None:
    installed("acme")
    manager = manage("acme", value="canary")
    StrictSettings.raised = raised
    sabotage(manager, "settings_model", lambda: StrictSettings)
    with pytest.raises(ConfigurationError) as refused:
        manager.get("acme")
    assert refused.value.message.startswith(f"[backends.acme] {problem}")
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_module_that_lies_about_itself_is_not_registered() -> None:
    class Liar:
        def __dir__(self) -> list[str]:
            raise RuntimeError("canary")

    manager = new_manager(Health)
    with pytest.raises(PluginLoadError, match=r"(?m)^RuntimeError at backends/test_manager.py:\d+$"):
        register(manager, Liar(), "liar", required=["describe"])
    assert not manager.get_plugins()


def test_an_unknown_hook_that_is_marked_optional_is_for_a_later_version() -> None:
    class Later:
        @hookimpl
        def describe(self) -> None:
            """Say nothing."""

        @hookimpl(optionalhook=True)
        def levitate(self) -> None:
            """Known to a later version only."""

    manager = new_manager(Health)
    register(manager, Later(), "later", required=["describe"])
    assert manager.has_plugin("later")


def test_a_refused_plugin_leaves_no_hook_behind() -> None:
    class Half:
        @hookimpl
        def describe(self) -> None:
            """Say nothing."""

        @hookimpl
        def check_healht(self) -> None:
            """Misspelt."""

    manager = new_manager(Health)
    with pytest.raises(PluginLoadError, match="check_healht is not a hook"):
        register(manager, Half(), "half", required=["describe"])
    assert not manager.get_plugins()
    assert not manager.hook.describe.get_hookimpls()
