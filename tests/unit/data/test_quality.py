import numpy as np
import pytest

from stocktake.data import quality
from stocktake.data.looks import Look


def look(photo_id: str, **more: float) -> Look:
    given = {"sharpness": 400.0, "luma": 0.5, "contrast": 0.2, "dark": 0.0, "bright": 0.0} | more
    return Look(
        photo_id=photo_id,
        size_bytes=1,
        digest=b"",
        pixels=np.zeros((0, 3), np.uint8),
        **given,
    )


@pytest.fixture(scope="module")
def found():
    usual = [look(f"{i:05d}", sharpness=300.0 + i) for i in range(50)]
    odd = [
        look("blurred", sharpness=5.0),
        look("night", luma=0.05, dark=0.6),
        look("lamp", luma=0.9, bright=0.3),
    ]
    return quality.of_looks([*usual, *odd])


def test_the_worst_come_first(found):
    assert found["most_blurred"][0] == {"photo_id": "blurred", "sharpness": 5.0}
    assert found["darkest"][0] == {"photo_id": "night", "luma": 0.05}
    assert found["most_burnt"] == [{"photo_id": "lamp", "bright": 0.3}]  # no other is at all


def test_bad_ones_are_counted(found):
    assert found["photos"] == found["sharpness"]["n"] == 53
    assert found["blurred"]["photos"] == found["too_dark"]["photos"] == 1
    assert found["dark"]["photos_over"] == found["bright"]["photos_over"] == 1
    assert sum(found["sharpness"]["histogram"]["photos"]) == 53


def test_no_looks_are_told_as_none():
    found = quality.of_looks([])

    assert found["photos"] == 0 and found["most_blurred"] == []
    assert found["blurred"] == {"below": None, "photos": 0}
