import pytest
import torch

from stocktake.vision.world import borrowed


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
