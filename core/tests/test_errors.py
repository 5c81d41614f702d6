from __future__ import annotations

import copy
import inspect
import pickle
import re
import traceback
from typing import Any

import pytest
from keyclave import errors
from keyclave.errors import AuthenticationFailed, BackendUnavailable, KeyclaveError, KeyNotFound, Throttled

CLASSES = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, KeyclaveError)]
OWN: dict[type[KeyclaveError], dict[str, Any]] = {
    Throttled: {"retry_after": 2.5},
    AuthenticationFailed: {"attempts_left": 2},
}
CONTEXT: dict[str, Any] = {
    "operation": "sign",
    "backend_id": "hsm-1",
    "key_name": "signing",
    "next_step": "Ask somebody.",
    "retryable": True,
    "provider_reference": "7a2f-request",
}
every_error = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
_LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<text>.*)$")


def drawing() -> dict[str, tuple[str | None, str]]:
    """The tree drawn in the module's docstring: each class with its parent and the text beside it."""
    tree: dict[str, tuple[str | None, str]] = {}
    parents: list[str] = []
    lines = (inspect.getdoc(errors) or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "KeyclaveError")
    for line in lines[start:]:
        if not line.strip():
            break
        found = _LINE.match(line.removeprefix("    "))
        assert found, line
        depth = len(found["branch"]) // 4
        parents[depth:] = [found["name"]]
        tree[found["name"]] = (parents[depth - 1] if depth else None, found["text"].strip())
    return tree


def test_the_drawing_is_the_tree() -> None:
    real = {cls.__name__: None if cls is KeyclaveError else cls.__bases__[0].__name__ for cls in CLASSES}
    assert {name: parent for name, (parent, _) in drawing().items()} == real


def test_the_drawing_says_which_errors_are_retryable() -> None:
    drawn = {name for name, (_, text) in drawing().items() if text.endswith("retryable")}
    assert drawn == {cls.__name__ for cls in CLASSES if cls.default_retryable}
    assert drawn


def test_the_list_of_public_names_is_complete_and_sorted() -> None:
    assert errors.__all__ == sorted(cls.__name__ for cls in CLASSES)


def test_bad_input_is_also_a_value_error() -> None:
    assert [cls.__name__ for cls in CLASSES if issubclass(cls, ValueError)] == ["InvalidArgument"]


@every_error
def test_an_error_is_documented_and_says_what_to_do(cls: type[KeyclaveError]) -> None:
    assert (cls.__doc__ or "").partition("\n")[0].endswith(".")
    step = cls("it failed").next_step
    assert step.endswith(".")
    assert step[0].isupper()


@every_error
def test_an_error_starts_without_context(cls: type[KeyclaveError]) -> None:
    error = cls("it failed")
    assert (error.message, error.operation, error.backend_id, error.key_name) == ("it failed", None, None, None)
    assert error.retryable is cls.default_retryable
    assert error.next_step == cls.default_next_step
    assert str(error) == "it failed"
    assert error.args == ("it failed",)
    for name in OWN.get(cls, {}):
        assert getattr(error, name) is None


@every_error
def test_an_error_carries_what_it_was_given(cls: type[KeyclaveError]) -> None:
    given = {**CONTEXT, **OWN.get(cls, {})}
    error = cls("it failed", **given)
    assert {name: getattr(error, name) for name in given} == given
    assert str(error) == "sign backend 'hsm-1' key 'signing': it failed"
    assert cls("it failed", retryable=False).retryable is False


@every_error
@pytest.mark.parametrize(
    "clone",
    [
        *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=[*(f"pickle {protocol}" for protocol in range(6)), "copy", "deepcopy"],
)
def test_a_clone_is_the_same_error(cls: type[KeyclaveError], clone: Any) -> None:
    error = cls("it failed", **CONTEXT, **OWN.get(cls, {}))
    error.add_note("while testing")
    again = clone(error)
    assert again is not error
    assert type(again) is cls
    assert vars(again) == vars(error)
    assert again.args == error.args
    assert str(again) == str(error)


def test_a_traceback_says_what_to_do_next() -> None:
    lines = "".join(traceback.format_exception(KeyNotFound("no such key", next_step="Look again."))).splitlines()
    assert lines == ["keyclave.errors.KeyNotFound: no such key", "Next: Look again."]


def test_a_clone_leaves_cause_context_and_traceback_behind() -> None:
    error = KeyNotFound("no such key")
    error.__cause__ = error.__context__ = RuntimeError("canary")
    assert "canary" in "".join(traceback.format_exception(error))
    again = pickle.loads(pickle.dumps(error))
    assert (again.__cause__, again.__context__, again.__traceback__) == (None, None, None)
    assert "canary" not in "".join(traceback.format_exception(again))


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"operation": "sign"}, "sign: it failed"),
        ({"backend_id": "hsm-1"}, "backend 'hsm-1': it failed"),
        ({"key_name": "signing"}, "key 'signing': it failed"),
        ({"operation": "sign", "key_name": "signing"}, "sign key 'signing': it failed"),
        ({"key_name": "a\nb"}, "key 'a\\nb': it failed"),
    ],
)
def test_the_text_names_what_is_known(context: dict[str, Any], text: str) -> None:
    assert str(KeyclaveError("it failed", **context)) == text


def test_context_is_filled_in_where_it_is_not_known_yet() -> None:
    error = BackendUnavailable("no answer", backend_id="hsm-1")
    assert error.at(operation="sign", backend_id="other", key_name="signing") is error
    assert (error.operation, error.backend_id, error.key_name) == ("sign", "hsm-1", "signing")
    error.at(operation="verify", key_name="another")
    error.at()
    assert (error.operation, error.backend_id, error.key_name) == ("sign", "hsm-1", "signing")
    assert str(error) == "sign backend 'hsm-1' key 'signing': no answer"


def test_an_error_is_raised_and_caught_by_every_base() -> None:
    for base in (errors.Conflict, errors.KeyStateError, KeyclaveError, Exception):
        with pytest.raises(base):
            raise errors.Conflict("somebody else is rotating it")
