import pytest

from stocktake.errors import SettingsError
from stocktake.vision.schedules import schedules


def test_it_rises_then_falls_to_the_floor():
    schedule = schedules.make({"name": "cosine", "warmup": 0.1, "floor": 0.05})
    factors = [schedule(step, 100) for step in range(100)]
    top = factors.index(max(factors))

    assert top == 10 and factors[top] == 1.0
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert factors[0] > 0
    assert abs(factors[-1] - 0.05) < 1e-9


def test_one_step_has_the_full_rate():
    assert schedules.make("cosine")(0, 1) == 1.0


@pytest.mark.parametrize("options", [{"warmup": 1.0}, {"floor": 1.5}, {"warmup": -0.1}])
def test_impossible_shapes_are_refused(options):
    with pytest.raises(SettingsError, match="warmup"):
        schedules.make({"name": "cosine", **options})
