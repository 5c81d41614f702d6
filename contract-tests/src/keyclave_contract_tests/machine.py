"""Make calls in a fixed order, and then in any that hypothesis likes, and compare the backend with the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.model import ModelKey
from keyclave_contract_tests.violations import expect

__all__ = ["run_machine", "run_script"]

_SLOTS = 2
_MOST = 6
_MESSAGE = b"a step of the machine"
_slots = st.integers(0, _MOST - 1)
_STATES = "cccdccecddcdecedceedddedeee"
"""Every order of three of create, disable and enable: a sequence of de Bruijn."""
_LIFE = "fdrefldxfxlcfl"
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "c": "create",
        "d": "disable",
        "e": "enable",
        "f": "find",
        "l": "compare_the_list",
        "r": "rotate",
        "x": "destroy",
    }
)


def run_script(bench: Bench) -> None:
    """Take one key through every order of states, and then each kind of key through its life."""
    bench.planned += 1
    machine = _Machine(bench)
    machine.begin()
    switches = bench.subject.has("disable_key") and bench.subject.has("enable_key")
    for slot, script in enumerate((_STATES + _LIFE if switches else _LIFE, _LIFE)):
        for letter in script:
            if letter != "l" or bench.subject.has("list_keys"):
                getattr(machine, _NAMES[letter])(slot)
    machine.teardown()


def run_machine(bench: Bench, number: int) -> None:
    """Run the machine as often, and for as many steps, as the budget allows.

    Args:
        bench: of the run.
        number: what the choices come from.
    """
    factory = seed(number)(partial(_Machine, bench))
    bench.planned += bench.budget.examples
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", factory),  # its documentation says that a function will do
        settings=settings(
            max_examples=bench.budget.examples,
            stateful_step_count=bench.budget.steps,
            deadline=None,
            database=None,
            derandomize=False,
            phases=(Phase.generate, Phase.shrink) if bench.budget.shrinks else (Phase.generate,),
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    bench.example = None


class _Machine(RuleBasedStateMachine):
    """A few keys, of which each step takes one."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        names = [name for name in (bench.cheapest(signs=True), bench.cheapest(signs=False)) if name]
        self._keys = [ModelKey(bench, names[slot % len(names)], bench.label()) for slot in range(_SLOTS)]
        self._steps: list[str] = []

    def _step(self, slot: int, name: str, step: Callable[[ModelKey], None]) -> None:
        """Take a step with a key, and look at the key by using it."""
        key = self._keys[slot % len(self._keys)]
        self._steps.append(f"{name} {slot % len(self._keys)}")
        self._bench.example = ", ".join(self._steps)
        step(key)
        key.use(_MESSAGE)

    @initialize()
    def begin(self) -> None:
        """Create the first keys."""
        for slot in range(_SLOTS):
            self.create(slot)

    @rule(slot=_slots)
    def create(self, slot: int) -> None:
        """Create a key again, after it was destroyed, too."""
        self._step(slot, "create", ModelKey.create)

    @precondition(lambda self: len(self._keys) < _MOST)
    @rule(slot=_slots)
    def rotate(self, slot: int) -> None:
        """Create the next version of a key."""
        self._step(slot, "rotate", self._next_version)

    @rule(slot=_slots)
    def destroy(self, slot: int) -> None:
        """Destroy a key, also one that is destroyed."""
        self._step(slot, "destroy", ModelKey.destroy)

    @rule(slot=_slots)
    def disable(self, slot: int) -> None:
        """Disable a key."""
        self._step(slot, "disable", ModelKey.disable)

    @rule(slot=_slots)
    def enable(self, slot: int) -> None:
        """Enable a key."""
        self._step(slot, "enable", ModelKey.enable)

    @rule(slot=_slots)
    def find(self, slot: int) -> None:
        """Find a key."""
        self._step(slot, "find", ModelKey.look)

    @rule(slot=_slots, message=st.binary(max_size=40))
    def use(self, slot: int, message: bytes) -> None:
        """Sign, or encrypt and decrypt."""
        self._step(slot, "use", lambda key: key.use(message))

    @rule(slot=_slots)
    def open_another(self, slot: int) -> None:
        """Open a second handle, and close it."""
        self._step(slot, "open another beside", lambda key: self._open_another())

    @precondition(lambda self: self._bench.subject.has("list_keys"))
    @rule(slot=_slots)
    def compare_the_list(self, slot: int) -> None:
        """List all keys."""
        self._step(slot, "list", lambda key: self._compare_the_list())

    def _next_version(self, key: ModelKey) -> None:
        self._keys.append(key.next_version(self._keys))
        self._keys[-1].create()
        for other in self._keys:
            other.use(_MESSAGE)

    def _open_another(self) -> None:
        with self._bench.another() as other:
            other.describe()

    def _compare_the_list(self) -> None:
        listed = [key.label for key in self._bench.subject.list_keys()]
        for key in self._keys:
            due, count = key.must_be_listed(), listed.count(key.label)
            expect(due is None or count == due, f"a key that should be {key.known_as} is listed {count} times")

    def teardown(self) -> None:
        """Destroy the keys. If that fails, it does not hide what the steps showed; the run cleans up at its end."""
        for key in self._keys:
            with suppress(Exception):
                key.destroy()
        self._bench.examples += 1
