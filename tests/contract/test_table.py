"""Every stage in the table is what the table says of it."""

import dataclasses
import inspect

import pytest

from stocktake.runs import settings as reader
from stocktake.stages import table

STAGES = pytest.mark.parametrize("stage", table.STAGES, ids=lambda stage: stage.name)


@STAGES
def test_a_stage_takes_what_the_table_says(stage: table.Stage):
    parts = stage.load()
    parameters = set(inspect.signature(parts.function).parameters)
    driver = {"engine", "train_settings"} if stage.is_driver else set()
    seen = {"seen"} & parameters if parts.outside else set()

    assert parameters == {*stage.takes, *stage.or_takes, "settings", "run"} | driver | seen


@STAGES
def test_settings_are_frozen_and_every_field_says_what_it_is(stage: table.Stage):
    kind = stage.load().settings
    texts = reader.about(kind)

    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    for field in dataclasses.fields(kind):
        assert texts.get(field.name), f"{kind.__name__}.{field.name} has no sentence"


@STAGES
def test_defaults_survive_a_round_trip_through_plain_data(stage: table.Stage):
    kind = stage.load().settings
    table_ = reader.resolved(kind())

    assert reader.build(kind, table_, where=stage.name) == kind()


@STAGES
def test_an_unknown_key_is_an_error_with_the_nearest_name(stage: table.Stage):
    kind = stage.load().settings
    key = dataclasses.fields(kind)[0].name

    with pytest.raises(reader.SettingsError, match=f"did you mean '{key}'"):
        reader.build(kind, {f"{key}x": 1}, where=stage.name)


@STAGES
def test_settings_of_pace_exist(stage: table.Stage):
    parts = stage.load()

    assert set(parts.pace) <= {field.name for field in dataclasses.fields(parts.settings)}


def test_default_parts_are_on_their_shelves():
    checked = [
        stage.name
        for stage in table.STAGES
        if (check := stage.load().check) and check(stage.load().settings()) is None
    ]

    assert checked == ["tune", "train"]


def test_inputs_come_from_earlier_stages():
    made: set[str] = set()
    for stage in table.STAGES:
        assert set(stage.takes) <= made, stage.name
        made.add(stage.gives)
