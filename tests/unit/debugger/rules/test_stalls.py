from recorded import SECONDS, asked, scalars, told

from stocktake.debugger.records import Record, View
from stocktake.debugger.rules import find


def gap(seconds: float) -> list:
    return scalars("loss", [1, 1]) + scalars("loss", {2: 1}, start=SECONDS + seconds - 1)


def test_an_hour_without_a_row_fires():
    found = told(gap(3600), "StalledTrainingRule")

    assert [one.step for one in found] == [2]
    assert found[0].evidence == {"waited_s": 3600.0}


def test_half_an_hour_without_a_row_is_allowed():
    assert asked(gap(1800), "StalledTrainingRule") == []


def test_evaluation_between_two_train_steps_is_no_stall():
    held = scalars("loss", [1, 1], mode="eval", start=SECONDS + 1800)

    assert asked(gap(3600) + held, "StalledTrainingRule") == []


def test_live_it_asks_the_clock():
    record = Record(gap(1))
    rule = find("StalledTrainingRule").with_parameters({"threshold": 60})

    assert list(rule(View(record, "train", 2, clock=SECONDS + 62))) == []
    assert len(list(rule(View(record, "train", 2, clock=SECONDS + 63)))) == 1
