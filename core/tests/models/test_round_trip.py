"""What a model writes, it reads again, unchanged."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import keyclave.models
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyclave.models.base import Model, UtcDatetime
from pydantic import AwareDatetime, BaseModel, ValidationError

from core.tests.models.examples import VALID, build
from core.tests.strategies import MODELS

_TIMES = (AwareDatetime, UtcDatetime | None)
_slow = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def test_there_is_a_strategy_and_an_example_for_every_model() -> None:
    exported = (getattr(keyclave.models, name) for name in keyclave.models.__all__)
    models = {thing for thing in exported if isinstance(thing, type) and issubclass(thing, BaseModel)}
    assert models == set(MODELS) == set(VALID)


@every_model
@given(data=st.data())
@_slow
def test_json_is_read_as_it_was_written(model: type[Model], data: st.DataObject) -> None:
    made = data.draw(MODELS[model]())
    assert type(made) is model
    written = made.model_dump_json()
    again = model.model_validate_json(written)
    assert again == made
    assert again.model_dump_json() == written


@every_model
@given(data=st.data())
@_slow
def test_python_objects_are_read_as_they_were_written(model: type[Model], data: st.DataObject) -> None:
    made = data.draw(MODELS[model]())
    assert model.model_validate(made.model_dump()) == made
    assert model.model_validate(made.model_dump(), strict=True) == made
    assert model(**{name: getattr(made, name) for name in type(made).model_fields}) == made
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("instant", [datetime.min, datetime(9999, 12, 31, 23, 59, 59, 999_999)])  # noqa: DTZ001, DTZ901  UTC below
@every_model
def test_the_first_and_the_last_instant_are_read_as_they_were_written(model: type[Model], instant: datetime) -> None:
    times = {name for name, field in model.model_fields.items() if field.annotation in _TIMES}
    past_only = {"timestamp"} if instant.year > 1 else set()
    status = {"status": "FAILED", "error_message": "refused"} if "completed_at" in times else {}
    status |= {"status": "PENDING"} if "validation_ends_at" in times else {}
    later = dict.fromkeys(times & {"next_rotation_at", "source_retained_until", "retired_at"})
    made = build(model, {**dict.fromkeys(times - past_only, instant.replace(tzinfo=UTC)), **status, **later})
    assert model.model_validate_json(made.model_dump_json()) == made
    assert model.model_validate(made.model_dump(), strict=True) == made


@every_model
def test_text_that_cannot_be_written_is_refused(model: type[Model]) -> None:
    for name, field in model.model_fields.items():
        if field.annotation in {str, str | None}:
            with pytest.raises(ValidationError):
                build(model, {name: "key\ud800"})


@every_model
def test_what_was_left_out_as_a_default_is_filled_in_again(model: type[Model]) -> None:
    made = build(model)
    assert model.model_validate_json(made.model_dump_json(exclude_defaults=True)) == made
