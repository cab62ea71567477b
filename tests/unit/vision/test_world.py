import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.vision.world import World, borrowed, joined


def test_threads_and_random_state_are_given_back():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with pytest.raises(RuntimeError), borrowed(threads=threads + 1, seed=5):
        assert torch.get_num_threads() == threads + 1
        torch.rand(3)
        raise RuntimeError

    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_the_seed_decides_what_is_drawn():
    drawn = []
    for seed in (1, 1, 2):
        with borrowed(seed=seed):
            drawn.append(torch.rand(4))

    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_memory_that_is_not_there_is_a_memory_error():
    with pytest.raises(MemoryError), borrowed():
        torch.empty(2**50)


def test_alone_sums_are_the_values_and_the_counter_is_itself():
    world, counter = World(), torch.nn.Linear(1, 1)

    assert world.summed(1.0, 2.5) == (1.0, 2.5)
    assert world.agrees_on(True) and not world.agrees_on(False)
    assert world.shared(counter) is counter


def test_precision_is_asked_for_on_a_cpu():
    for precision, expected in (("auto", False), ("float32", False), ("bfloat16", True)):
        with joined(device="cpu", precision=precision) as world:
            assert world.is_bfloat16 == expected and world.ranks == 1
            with world.autocast():
                made = torch.nn.Linear(2, 2)(torch.zeros(1, 2))
            assert made.dtype == (torch.bfloat16 if expected else torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_one_line():
    with pytest.raises(SettingsError, match="no GPU here"), joined(device="cuda"):
        pass
