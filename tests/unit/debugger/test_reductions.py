import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stocktake.debugger.reductions import SAMPLE, Fetched, Seen, averages, reduce, table

WANTED = (
    *("mean", "std", "variance", "abs_mean", "norm", "min", "max", "nans", "infs", "zeros"),
    *("positive", "p5", "p95", "p50", "above:0.5", "below:-1"),
)


def reduced(tensor, *statistics):
    """Numbers and lists by their names, after the transfer."""
    found = reduce(tensor, statistics)
    seen = [Seen("x", "weights", "", name, (), number, by) for name, number, by in found]
    values, lists = Fetched(seen).numbers()
    return {one.statistic: lists.get(n, values[n]) for n, one in enumerate(seen)}


def expected(x):
    x = x.astype(np.float64)
    return {
        **{"mean": x.mean(), "std": x.std(), "variance": x.var(), "abs_mean": np.abs(x).mean()},
        **{"norm": np.linalg.norm(x), "min": x.min(), "max": x.max(), "nans": 0.0, "infs": 0.0},
        **{"zeros": (x == 0).mean(), "positive": (x > 0).mean(), "p50": np.percentile(x, 50)},
        **{"p5": np.percentile(x, 5), "p95": np.percentile(x, 95)},
        **{"above:0.5": (x > 0.5).mean(), "below:-1": (x < -1).mean()},
    }


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4, 5), (200, 300)])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_statistics_are_those_of_numpy(shape, dtype):
    torch.manual_seed(5)
    tensor = (torch.randn(shape) * 2).round(decimals=1).to(dtype)

    found = reduced(tensor, *WANTED)

    wanted = expected(tensor.to(torch.float64).reshape(-1).numpy())
    assert list(found) == list(WANTED)
    for name in WANTED:
        assert found[name] == pytest.approx(wanted[name], rel=1e-5, abs=1e-6), name


def test_every_statistic_is_the_same_asked_for_alone():
    x = torch.randn(50, generator=torch.Generator().manual_seed(1))
    together = reduced(x, *WANTED)

    for name in WANTED:
        assert reduced(x, name) == {name: pytest.approx(together[name])}


def test_shares_are_exact():
    for n in (3, 49, 10_007):
        found = reduced(torch.zeros(n), "zeros", "positive")

        assert found == {"zeros": 1.0, "positive": 0.0}


@pytest.mark.parametrize("with_mean", [True, False])
def test_nan_and_infinite_elements_are_counted(with_mean):
    x = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 0.0])

    found = reduced(x, *(["mean"] if with_mean else []), "nans", "infs", "zeros", "max")

    assert (found["nans"], found["infs"], found["zeros"]) == (0.2, 0.4, 0.2)
    assert np.isnan(found["max"])


def test_elements_that_overflow_when_added_are_not_taken_for_infinite():
    found = reduced(torch.full((10,), 3e38), "mean", "infs")

    assert found["infs"] == 0.0


def test_an_empty_tensor_has_no_statistics():
    found = reduced(torch.zeros(0, 3), "mean", "max", "zeros", "p5", "histogram")

    assert list(found) == ["mean", "max", "zeros", "p5"]
    assert all(np.isnan(value) for value in found.values())


def test_a_histogram_counts_every_finite_element_once():
    x = torch.randn(5000, generator=torch.Generator().manual_seed(2))
    counts, _ = np.histogram(x.double().numpy(), bins=64)

    found = reduced(x, "histogram")["histogram"]

    assert found.sum() == 5000
    assert np.abs(found - counts).sum() <= 4  # an element on an edge may fall to either side
    assert reduced(torch.ones(9), "histogram")["histogram"].sum() == 9


def test_channels_are_those_of_dimension_one():
    x = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(2))

    found = reduced(x, "channel_means", "channel_positive")

    assert found["channel_means"] == pytest.approx(x.mean((0, 2, 3)).numpy(), abs=1e-6)
    assert found["channel_positive"] == pytest.approx((x > 0).float().mean((0, 2, 3)).numpy())
    assert reduced(x[0, 0, 0], "channel_means") == {}


def test_a_whole_tensor_is_as_it_was_when_it_was_seen():
    x = torch.arange(6.0).reshape(2, 3)
    found = reduce(x, ("value",))
    x.zero_()

    assert found[0][1].tolist() == [0, 1, 2, 3, 4, 5]


def test_percentiles_of_a_large_tensor_are_near_those_of_all_its_elements():
    x = torch.randn(64, 128, 3, 3, 20, generator=torch.Generator().manual_seed(3))
    assert x.numel() > 10 * SAMPLE

    found = reduced(x, "p5", "p95")

    low, high = np.percentile(x.numpy(), (5, 95))
    assert found["p5"] == pytest.approx(low, abs=0.03)
    assert found["p95"] == pytest.approx(high, abs=0.03)


def test_a_stride_does_not_see_one_column_only():
    x = torch.zeros(1024, 1024)
    x[:, 0] = 1.0

    assert reduced(x, "p50", "max") == {"p50": 0.0, "max": 1.0}
    assert reduced(1 - x, "p50")["p50"] == 1.0


def test_sparse_and_complex_tensors_are_seen():
    sparse = torch.sparse_coo_tensor([[0, 0, 5]], [1.0, 2.0, 4.0], (10,), check_invariants=True)

    assert reduced(sparse, "max", "min") == {"max": 4.0, "min": 3.0}
    assert reduced(torch.tensor([3 + 4j]), "max", "norm") == pytest.approx(
        {"max": 4.0, "norm": 5.0}
    )


class Counting(TorchDispatchMode):
    """Counts transfers, and waits for single numbers."""

    def __init__(self):
        super().__init__()
        self.transfers = self.waits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        self.waits += "_local_scalar_dense" in name or name.startswith("aten.nonzero")
        self.transfers += "_to_copy" in name and "device" in (kwargs or {})
        return func(*args, **(kwargs or {}))


def test_on_a_device_nothing_is_waited_for_tensor_by_tensor():
    """Meta tensors cannot give a number away: whoever asks for one fails."""
    statistics = (*WANTED, "histogram", "channel_means", "value")
    with Counting() as counted:
        found = reduce(torch.zeros(8, 3, 5, device="meta"), statistics)

    assert [name for name, _, _ in found] == list(statistics)
    assert (counted.waits, counted.transfers) == (0, 0)


def test_a_steps_rows_keep_their_order_and_types():
    seen = [
        Seen("a", "weights", "", "mean", (2, 2), torch.tensor(1.5)),
        Seen("b", "scalars", "", "value", (), 0.25),
        Seen("c", "activations", "ReLU", "channel_means", (1, 2), torch.tensor([1.0, 3.0]), 2.0),
        Seen("d", "weights", "", "zeros", (4,), torch.tensor(1), 4),
        Seen("e", "labels", "", "value", (3,), torch.tensor([1.0, 2.0, 0.0])),
    ]

    made = table(seen, Fetched(seen), step=7, mode="eval", worker=1, now=5.0).to_pylist()

    assert [one["name"] for one in made] == ["a", "b", "c", "d", "e"]
    assert [one["value"] for one in made][:2] + [made[3]["value"]] == [1.5, 0.25, 0.25]
    assert [one["values"] for one in made] == [[], [], [0.5, 1.5], [], [1.0, 2.0, 0.0]]
    assert {(one["step"], one["mode"], one["worker"], one["time"]) for one in made} == {
        (7, "eval", 1, 5.0)
    }
    assert made[2]["kind"] == "ReLU"
    assert made[0]["shape"] == [2, 2]


def test_losses_of_a_step_are_averaged():
    (total, by), *_ = averages([torch.tensor(1.0), torch.tensor(4.0)])
    assert total.item() / by == 2.5
    assert list(averages([1.0, 4.0])) == [(2.5, 1.0)]
    assert list(averages([])) == []
