import pytest

from stocktake.data.counts import Counts


@pytest.mark.parametrize(
    ("text", "taken"),
    [("1-5", [1, 2, 3, 4, 5]), ("0,2-3", [0, 2, 3]), (" 4 , 6 - 7 ", [4, 6, 7]), ("3", [3])],
)
def test_counts_asked_for(text, taken):
    assert [count for count in range(9) if count in Counts(text)] == taken


def test_no_text_asks_for_every_count():
    assert 209 in Counts("")
    assert 0 in Counts()


@pytest.mark.parametrize("text", ["x", "5-1", "1,,2", "-3", "1-", "1;2", "1-2-3", ","])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="counts must be as in '1-5'"):
        Counts(text)
