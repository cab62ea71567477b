import pytest

from stocktake.debugger.errors import RuleError
from stocktake.debugger.parameters import defaults, filled


def judge(seen: object, *, share: float = 0.5, window: int = 10, mode: str | None = None) -> None:
    """Does nothing."""


def test_keyword_only_arguments_are_the_parameters():
    assert defaults(judge) == {"share": 0.5, "window": 10, "mode": None}


def test_texts_are_read_as_what_the_default_is():
    made = filled("R", defaults(judge), {"share": "0.25", "window": "20", "mode": "EVAL"})

    assert made == {"share": 0.25, "window": 20, "mode": "EVAL"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"windw": 3}, "did you mean 'window'"),
        ({"zzz": 3}, "it has share, window, mode"),
        ({"window": "ten"}, "window must be int, got 'ten'"),
        ({"window": 2.5}, "window must be int, got 2.5"),
        ({"share": True}, "share must be float, got True"),
        ({"share": None}, "share must be float, got None"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(given, says):
    with pytest.raises(RuleError, match=says):
        filled("R", defaults(judge), given)
