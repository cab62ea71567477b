from types import SimpleNamespace

import pytest

from stocktake.pages import words
from stocktake.pages.words import MISSING

INTERVAL = SimpleNamespace(low=0.475, high=0.5712)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (words.percent(0.523), "52.3%"),
        (words.percent(1.0, 0), "100%"),
        (words.percent(None), MISSING),
        (words.points(0.123), "+12.3"),
        (words.points(-0.05), "−5.0"),
        (words.number(0.93), "0.93"),
        (words.number(12.54), "12.5"),
        (words.number(1204), "1,204"),
        (words.number(3378694.0), "3,378,694"),
        (words.number(1234.5), "1,234"),
        (words.number(2e-6), "2e-6"),
        (words.number(0), "0"),
        (words.number(None), MISSING),
        (words.fixed(2.5), "2.50"),
        (words.fixed(-0.223, 1), "−0.2"),
        (words.fixed(1234.5), "1,234.50"),
        (words.fixed(None), MISSING),
        (words.between(INTERVAL), "0.475 to 0.571"),
        (words.between(INTERVAL, "percent"), "47.5 to 57.1%"),
        (words.between(INTERVAL, "fixed", 1), "0.5 to 0.6"),
        (words.seconds(0.42), "0.4 s"),
        (words.seconds(9.96), "10 s"),
        (words.seconds(59.6), "1 min 00 s"),
        (words.seconds(200), "3 min 20 s"),
        (words.seconds(7500), "2 h 05 min"),
        (words.seconds(None), MISSING),
        (words.size(640), "640 B"),
        (words.size(58_000), "58 kB"),
        (words.size(999_600), "1 MB"),
        (words.size(1.2e9), "1.2 GB"),
        (words.size(5e12), "5,000 GB"),
        (words.size(None), MISSING),
        (words.moment(0), "1970-01-01 00:00 UTC"),
        (words.moment(None), MISSING),
        (words.moment(1e20), MISSING),
        (words.moment(float("nan")), MISSING),
    ],
)
def test_numbers_are_said_as_people_read_them(said, text):
    assert said == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("softmax", "softmax"),
        ({"name": "adamw"}, "adamw"),
        ({"name": "adamw", "lr": 0.001}, "adamw (lr 0.001)"),
        ({"name": "mix", "parts": [{"name": "a", "p": 0.5}, "b"]}, "mix (parts a (p 0.5), b)"),
        ({"epochs": 1, "side_px": 64}, "epochs 1, side_px 64"),
        ({}, ""),
    ],
)
def test_a_part_is_said_with_its_options(value, text):
    assert words.part(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (False, "no"),
        (None, MISSING),
        (1024, "1024"),
        (0.5, "0.5"),
        ([1, "a"], "1, a"),
    ],
)
def test_any_plain_value_fits_a_cell(value, text):
    assert words.brief(value) == text


def test_every_filter_is_there_by_its_name():
    assert all(words.FILTERS[name] is getattr(words, name) for name in words.FILTERS)
