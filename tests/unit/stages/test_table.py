import pytest

from stocktake.errors import SettingsError
from stocktake.stages import table


def test_the_way_is_in_order():
    assert table.names()[:4] == ["paint", "ingest", "explore", "split"]


def test_a_stage_is_found_by_what_it_gives():
    assert table.giver("scores").name == "score"


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'split'"):
        table.find("splt")
    with pytest.raises(SettingsError, match="did you mean 'scores'"):
        table.giver("score")
