import numpy as np
import pytest

from stocktake.vision.order import DRAWS, Order


def places(order: Order, epoch: int = 1) -> list[list[int]]:
    return [turn.places.tolist() for turn in order.epoch(epoch)]


def test_without_shuffling_every_photo_comes_once_in_order():
    assert places(Order(7, batch_size=3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_shuffled_batches_are_full_and_repeat_no_photo():
    made = places(Order(23, batch_size=5, is_shuffled=True))

    assert [len(batch) for batch in made] == [5, 5, 5, 5]
    assert len({place for batch in made for place in batch}) == 20


def test_an_incomplete_batch_is_kept_if_it_is_the_only_one():
    assert len(Order(3, batch_size=5, is_shuffled=True)) == 1
    assert sorted(places(Order(3, batch_size=5, is_shuffled=True))[0]) == [0, 1, 2]


def test_epochs_and_seeds_give_different_orders_and_the_same_ones_again():
    def first(seed: int, epoch: int) -> list[int]:
        return Order(50, batch_size=50, seed=seed, is_shuffled=True).places(epoch).tolist()

    assert first(0, 1) == first(0, 1)
    assert len({tuple(first(seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}) == 4


def test_no_two_photos_of_any_batches_share_their_chance():
    made = [
        turn.chance[:, 0]
        for seed in (0, 1)
        for epoch in (1, 2)
        for turn in Order(20, batch_size=5, seed=seed, is_shuffled=True).epoch(epoch)
    ]

    assert len(made) == 16
    assert len(np.unique(np.concatenate(made))) == 80


def test_chance_is_spread_over_zero_to_one():
    (turn,) = Order(4000, batch_size=4000, is_shuffled=True).epoch(1)

    assert turn.chance.shape == (4000, DRAWS)
    assert turn.chance.dtype == np.float32
    assert turn.chance.min() >= 0 and turn.chance.max() < 1
    assert np.allclose(turn.chance.mean(axis=0), 0.5, atol=0.03)


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_an_epoch_entered_in_the_middle_is_the_rest_of_the_whole(start):
    order = Order(23, batch_size=5, is_shuffled=True)
    rest = list(order.epoch(2, start=start))

    for whole, part in zip(list(order.epoch(2))[start:], rest, strict=True):
        assert np.array_equal(whole.places, part.places)
        assert np.array_equal(whole.chance, part.chance)


@pytest.mark.parametrize(
    ("photos", "is_shuffled"), [(24, True), (23, True), (25, False), (26, False)]
)
def test_ranks_together_see_what_one_process_sees(photos, is_shuffled):
    options = {"batch_size": 6, "is_shuffled": is_shuffled}
    whole = list(Order(photos, **options).epoch(1))
    shares = [list(Order(photos, **options, share=(rank, 2)).epoch(1)) for rank in (0, 1)]

    for index, turn in enumerate(whole):
        for rank, share in enumerate(shares):
            if len(turn.places) > rank:
                assert np.array_equal(share[index].places, turn.places[rank::2])
                assert np.array_equal(share[index].chance, turn.chance[rank::2])
    assert sum(len(turn.places) for share in shares for turn in share) == sum(
        len(turn.places) for turn in whole
    )
    assert all(len(turn.places) for share in shares for turn in share), (
        "no rank gets an empty batch"
    )


def test_ranks_that_cannot_share_a_batch_evenly_are_refused():
    with pytest.raises(ValueError, match="make batch_size a multiple of 4"):
        Order(100, batch_size=6, is_shuffled=True, share=(0, 4))


def test_a_rank_beyond_its_ranks_is_refused():
    with pytest.raises(ValueError, match="rank must be 0 to 1"):
        Order(100, batch_size=6, share=(2, 2))
